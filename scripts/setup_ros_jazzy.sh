#!/usr/bin/env bash
# SPDX-License-Identifier: Apache-2.0
# Builds lerobot_arena in a colcon workspace on a machine with ROS 2 Jazzy, such as the plain `ros:jazzy` image.
#
#   scripts/setup_ros_jazzy.sh [WORKSPACE] [EXTRA …]      default: ~/arena_ws, extra `sim`; `test` and `lerobot` add theirs
#   source WORKSPACE/arena.bash && ros2 launch lerobot_arena arena.launch.py
#
# Python packages go into a venv that sees the system's: Ubuntu 24.04 refuses pip outside one, and numpy 2, which
# LeRobot needs, must not replace the system's. colcon runs under the venv's Python, and our console scripts look
# theirs up (setup.cfg), so that ros2 launch starts nodes with the venv too.
set -euo pipefail
repository=$(cd "$(dirname "$0")/.." && pwd)
workspace=$(mkdir -p "${1:-$HOME/arena_ws}" && cd "${1:-$HOME/arena_ws}" && pwd)
shift || true
extras=("$@")
[ ${#extras[@]} -gt 0 ] || extras=(sim)
distro=${ROS_DISTRO:-jazzy}

if [ ! -f "/opt/ros/$distro/setup.bash" ]; then
  echo "There is no ROS 2 $distro in /opt/ros. Without ROS 2 use \`make demo\`: it brings its own." >&2
  exit 1
fi

packages=(
  g++ make cmake git python3-venv python3-dev python3-setuptools python3-colcon-common-extensions python3-pytest
  libegl1 libgl1-mesa-dri
  "ros-$distro-rmw-fastrtps-cpp" "ros-$distro-rosidl-default-generators" "ros-$distro-launch-ros"
  "ros-$distro-ros2launch" "ros-$distro-launch-pytest" "ros-$distro-trajectory-msgs" "ros-$distro-tf2-msgs"
)
missing=()
for package in "${packages[@]}"; do
  dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'install ok installed' || missing+=("$package")
done
if [ ${#missing[@]} -gt 0 ]; then
  as_root=()
  [ "$(id -u)" = 0 ] || as_root=(sudo)
  "${as_root[@]}" apt-get update
  "${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "${missing[@]}"
fi

mkdir -p "$workspace/src"
[ -e "$workspace/src/lerobot_arena" ] || ln -s "$repository" "$workspace/src/lerobot_arena"
# A venv of the Makefile's kind in the repository, or this one, is nothing for colcon to search.
[ ! -d "$repository/.venv" ] || touch "$repository/.venv/COLCON_IGNORE"
[ -x "$workspace/.venv/bin/python" ] || /usr/bin/python3 -m venv --system-site-packages "$workspace/.venv"
touch "$workspace/.venv/COLCON_IGNORE"

cat > "$workspace/arena.bash" <<END
# Source this: ROS 2, the venv and the workspace, in the order that works.
source /opt/ros/$distro/setup.bash
source $workspace/.venv/bin/activate
source $workspace/install/setup.bash
END

set +u
source "/opt/ros/$distro/setup.bash"
source "$workspace/.venv/bin/activate"
set -u
# Jazzy's launch_testing plugin does not load under pytest 9, so the system's pytest 7.4 stays.
"$workspace/.venv/bin/python" "$repository/scripts/list_requirements.py" base "${extras[@]}" > "$workspace/requirements.txt"
echo 'pytest<8' > "$workspace/constraints.txt"
pip install -q -r "$workspace/requirements.txt" -c "$workspace/constraints.txt"

cd "$workspace"
python "$(command -v colcon)" build --packages-select lerobot_arena
echo "Done. Now: source $workspace/arena.bash && ros2 launch lerobot_arena arena.launch.py"
