"""Readers of the public data sets, in the directory layout of the reference; numpy, no torch, no ROS."""
