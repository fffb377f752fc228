"""``python -m lisa_ros.node.demo``."""

from lisa_ros.node.demo.command import main

raise SystemExit(main())
