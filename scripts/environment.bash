# Source this file in bash to use the built workspace: . scripts/environment.bash
_lisa_root="$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)"
. "$_lisa_root/.venv/bin/activate"
if [ -d "$VIRTUAL_ENV/share/rclpy" ]; then # ROS 2 from wheels; a distribution has its own setup file
  export AMENT_PREFIX_PATH="$VIRTUAL_ENV" CMAKE_PREFIX_PATH="$VIRTUAL_ENV" LD_LIBRARY_PATH="$VIRTUAL_ENV/lib"
fi
if [ -f "$_lisa_root/install/setup.bash" ]; then
  . "$_lisa_root/install/setup.bash"
  PATH="$_lisa_root/install/lisa_ros/lib/lisa_ros:$PATH" # the programs `lisa` and `lisa_node`
fi
unset _lisa_root
