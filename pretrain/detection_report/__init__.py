"""What a detector finds and misses on labelled stills, in figures, curves and pictures."""
