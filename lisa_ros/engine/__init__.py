"""The network run fast: look once, ask cheaply; torch, no ROS."""
