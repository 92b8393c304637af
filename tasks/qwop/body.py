"""The runner's body and world, in the base experiment's numbers and units, and the form of a plan.

Six points with a mass each, five springs between them, four joints that bend towards an angle. The
runner is about 2 units long; times and masses have units of their own.

The compiled simulator is given these tables when it is called: compiled into it, they would stay
what they were in the compiler's cache after a change in this file.
"""

from typing import NamedTuple

__all__ = [
    "EARTH",
    "FIRST_COMMANDS",
    "GENES",
    "POINTS",
    "SEGMENTS",
    "SEGMENT_STEPS",
    "START",
    "Joint",
    "Limb",
    "Point",
    "Spring",
    "World",
]

POINTS = 6
"""Hip, knee and foot of leg A, knee and foot of leg B, head."""

START = ((0.0, 1.0), (0.0, 0.5), (-0.25, 0.0), (0.25, 0.5), (0.25, 0.0), (0.15, 1.9))
"""x and y of each point, at rest."""

SEGMENTS, SEGMENT_STEPS = 20, 10
"""Segments of a plan, and steps of each."""

GENES = 2 * SEGMENTS
"""Numbers in a plan: a hip and a knee command for each segment."""

FIRST_COMMANDS = (0.5, 0.0)
"""Hip and knee command before the first segment."""


class Spring(NamedTuple):
    """A spring that keeps two points at a distance.

    Attributes:
        length: The distance at which it rests, L.
        stiffness: Force for each unit of stretch, k.
        damping: Force for each unit of speed along it, c.
        inverse_length: 1/L, which would cost a division in every step.
    """

    length: float
    stiffness: float
    damping: float
    inverse_length: float


class Joint(NamedTuple):
    """A spring that keeps two limbs at an angle.

    Attributes:
        angle: What it bends towards, in radians, while the command is 0.
        stiffness: Torque for each radian away from the angle that it bends towards.
        damping: Torque for each radian in a unit of time.
    """

    angle: float
    stiffness: float
    damping: float


class World(NamedTuple):
    """All constants; others than the base experiment's make other worlds, to test conservation in.

    Attributes:
        dt: Length of a step.
        gravity: Acceleration downwards.
        damping: Factor on the damping of springs and joints.
        bending: Factor on the stiffness of joints.
        friction: Coefficient of friction between a point and the ground.
        softening: Added to a spring's length before it is divided by.
        inverse_masses: 1/mass of the points.
        trunk: From hip to head.
        thigh: From hip to knee.
        shin: From knee to foot.
        hip: Between trunk and thigh; a command h bends leg A by h more and leg B by h less.
        knee: Between thigh and shin; a command g bends leg A by the factor 1 − g, leg B by 1 + g.
    """

    dt: float = 0.1
    gravity: float = 0.1
    damping: float = 1.0
    bending: float = 1.0
    friction: float = 1.0
    softening: float = 0.01
    inverse_masses: tuple[float, ...] = (1 / 30, 1 / 10, 1 / 5, 1 / 10, 1 / 5, 1 / 10)
    trunk: Spring = Spring(0.9, 160.0, 8.0, 1 / 0.9)
    thigh: Spring = Spring(0.5, 160.0, 8.0, 1 / 0.5)
    shin: Spring = Spring(0.5, 180.0, 8.0, 1 / 0.5)
    hip: Joint = Joint(-2.8, 20.0, 8.0)
    knee: Joint = Joint(-0.9, 10.0, 4.0)


EARTH = World()


class Point(NamedTuple):
    """Where a point is and how it moves."""

    x: float
    y: float
    vx: float
    vy: float


class Limb(NamedTuple):
    """A spring between two points, at one moment.

    Attributes:
        fx: Its pull F = ((L − r)k − 2(d·u)c) n along x.
        fy: The same along y.
        angle: θ, the angle of d.
        rate: ω, by how much it grows in a unit of time.
        qx: The force along x that a torque of 1 makes, q.
        qy: The same along y.
        stretch: r/L.
    """

    fx: float
    fy: float
    angle: float
    rate: float
    qx: float
    qy: float
    stretch: float
