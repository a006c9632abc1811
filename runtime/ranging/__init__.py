"""How far away what is in a box is, by several cues, each with its own uncertainty."""
