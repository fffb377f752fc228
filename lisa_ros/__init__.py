"""LISA for ROS 2: a request in plain words and a camera image in, one stamped answer out.

Nothing may depend on the contents of this file: the generated ``lisa_ros.msg`` package is merged into the same
package name, and on some distributions its empty ``__init__.py`` replaces this one.
"""

from pkgutil import extend_path

__path__ = extend_path(__path__, __name__)
