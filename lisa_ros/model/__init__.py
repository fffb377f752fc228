"""LISA the network: configuration, modeling, processing, conversation and checkpoints; torch, no ROS."""
