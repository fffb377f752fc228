"""From published checkpoints to checkpoint folders of this package; torch, no ROS."""
