"""Heads that give more than a box for each object: masks, keypoints, turned boxes.

They share the detector's input, its rows and its matching, so they live in its room; each is a task.
"""
