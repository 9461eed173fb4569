"""The main job on a fresh machine: a detector out of a package, and labelled images drawn on the spot.

Nobody has to find a model or labels before the first ranking is on the screen. The detector finds
characters and is part of the package ddddocr (MIT); the images are synthetic, and whatever shows them says
so. A detector of natural things would make the nicer picture, but its labelled images could not be drawn.
"""
