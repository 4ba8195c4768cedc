"""Face detection, five-point alignment, and the reasons a photograph was left out."""
