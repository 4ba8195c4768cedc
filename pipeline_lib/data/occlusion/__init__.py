"""Drawing masks, sunglasses and crops, and the occluded sets."""
