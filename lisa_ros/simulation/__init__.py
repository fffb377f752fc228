"""A simulated tabletop: objects, scenes, a camera, and the frames that are made of them (mujoco; no torch, no ROS)."""
