"""Losses, data sets and the trainer; torch, no ROS."""
