"""Face masks, sunglasses and crops drawn from landmarks."""
