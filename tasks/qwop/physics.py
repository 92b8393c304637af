"""One step of the runner, for `LANES` plans side by side.

Each lane is a runner of its own. The loop over lanes is the innermost one and has no branches, so
that the compiler turns it into vector instructions; that is what makes the simulator fast. Only
operations that IEEE 754 defines to the last bit are used (the arc tangent is ours for that reason,
and nothing may be contracted or reordered), so a plan's distance depends neither on its neighbours
nor on the number of threads.

Lengths, masses and times are in the units of the reference, in which the runner is about 2 long.
"""

import math
from typing import NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

__all__ = [
    "ALIVE",
    "COMMANDS",
    "DISTANCE",
    "EARTH",
    "HEAD",
    "LANES",
    "POINTS",
    "ROWS",
    "STEPS",
    "World",
    "advance",
    "arctan2",
    "initial_state",
]

LANES = 8
"""Runners in one block: two registers of four doubles, or one of eight."""

POINTS = 6
"""Hip, knee and foot of leg A, knee and foot of leg B, head."""

HEAD = 5
Y, VX, VY = POINTS, 2 * POINTS, 3 * POINTS
DISTANCE, ALIVE, STEPS = 4 * POINTS, 4 * POINTS + 1, 4 * POINTS + 2
COMMANDS = 4 * POINTS + 3
ROWS = COMMANDS + 4
"""Rows of a state ``(ROWS, LANES)``: x, y, v_x and v_y of all points; the head's x, which stands
still after a fall; whether the runner is on its feet (1 or 0); the steps it took; hip and knee
command of the segment before, and of this one."""

SEGMENTS, SEGMENT_STEPS = 20, 10
FIRST_COMMANDS = (0.5, 0.0)
"""Hip and knee command before the first segment."""

START = ((0.0, 1.0), (0.0, 0.5), (-0.25, 0.0), (0.25, 0.5), (0.25, 0.0), (0.15, 1.9))


class World(NamedTuple):
    """Constants; other values than the reference's make other worlds, to test conservation in.

    Attributes:
        dt: Length of a step.
        gravity: Acceleration downwards.
        damping: Factor on the damping of edges and joints.
        bending: Factor on the stiffness of joints.
        friction: Coefficient of friction between a point and the ground.
    """

    dt: float = 0.1
    gravity: float = 0.1
    damping: float = 1.0
    bending: float = 1.0
    friction: float = 1.0


EARTH = World()


def initial_state() -> NDArray[np.float64]:
    """A block ``(ROWS * LANES,)``: a runner at rest at the start in lane 0, none elsewhere."""
    state = np.zeros((ROWS, LANES))
    state[:VX, 0] = np.array(START).T.ravel()
    state[DISTANCE, 0], state[ALIVE, 0] = START[HEAD][0], 1.0
    return state.ravel()


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def arctan2(y: float, x: float) -> float:
    """The angle of ``(x, y)`` in [−π, π] to one unit in the last place, without a branch.

    t = tan of the angle to the nearest multiple of π/4 is at most tan(π/8) in size; there
    arctan t = t + t³ Q(t²) with Q of degree 11, whose relative error is 2e-19 (Chebyshev fit).
    """
    low, high = min(abs(x), abs(y)), max(abs(x), abs(y))
    steep = low > 0.41421356237309503 * high
    t = (low - high if steep else low) / max(low + high if steep else high, 1e-300)
    z = t * t
    q = 0.016284375050043393
    q = q * z - 0.03456931506332609
    q = q * z + 0.045515447340221615
    q = q * z - 0.05230443640686948
    q = q * z + 0.05878927554473807
    q = q * z - 0.0666642476020052
    q = q * z + 0.07692296368042296
    q = q * z - 0.09090908753259112
    q = q * z + 0.11111111105150588
    q = q * z - 0.14285714285659779
    q = q * z + 0.19999999999999804
    q = q * z - 0.3333333333333333
    angle = t + t * z * q
    angle = angle + math.pi / 4 if steep else angle
    angle = math.pi / 2 - angle if abs(y) > abs(x) else angle
    angle = math.pi - angle if x < 0 else angle
    return -angle if y < 0 else angle


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def load(s: NDArray, i: int, point: int) -> tuple[float, ...]:
    """x, y, v_x and v_y of a point in lane ``i``, lifted to the ground where it sank below."""
    at = point * LANES + i
    y = s[at + Y * LANES]
    return s[at], (y if y > 0.0 else 0.0), s[at + VX * LANES], s[at + VY * LANES]


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def store(s: NDArray, i: int, point: int, p: tuple[float, ...]) -> None:
    """Writes what `load` reads."""
    at = point * LANES + i
    s[at], s[at + Y * LANES], s[at + VX * LANES], s[at + VY * LANES] = p


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def edge(
    a: tuple[float, ...], b: tuple[float, ...], length: float, stiffness: float, damping: float
) -> tuple[float, ...]:
    """A spring from point a to point b.

    Returns:
        F = ((L − r)k − 2(d·u)c) n as its two parts; the angle θ of d; its rate ω; q as its two
        parts; and r/L.
    """
    dx, dy, ux, uy = b[0] - a[0], b[1] - a[1], b[2] - a[2], b[3] - a[3]
    r = math.sqrt(dx * dx + dy * dy) + 0.01
    inverse = 1.0 / r
    force = ((length - r) * stiffness - 2.0 * (dx * ux + dy * uy) * damping) * inverse
    square = inverse * inverse
    omega = (ux * dy - uy * dx) * square
    theta = arctan2(dy, dx)
    return force * dx, force * dy, theta, omega, -dy * square, dx * square, r * (1.0 / length)


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def torque(
    a: tuple[float, ...], b: tuple[float, ...], target: float, stiffness: float, damping: float
) -> float:
    """T = δ·stiffness − (ω_b − ω_a)·damping·min(r_a/L_a, r_b/L_b) between two edges."""
    delta = b[2] - a[2] - target
    over = 2.0 * math.pi if delta > math.pi else 0.0
    under = 2.0 * math.pi if delta < -math.pi else 0.0
    stretch = a[6] if a[6] < b[6] else b[6]
    return (delta - over + under) * stiffness - (b[3] - a[3]) * damping * stretch


@njit(cache=True, nogil=True, error_model="numpy", forceinline=True)
def move(
    p: tuple[float, ...], fx: float, fy: float, inverse_mass: float, world: World
) -> tuple[float, ...]:
    """A point one step on; on the ground it loses what the floor and friction take."""
    x, y, vx, vy = p
    vx = vx + world.dt * (fx * inverse_mass)
    vy = vy + world.dt * (fy * inverse_mass - world.gravity)
    stopped = -vy if (y <= 0.0) & (vy < 0.0) else 0.0
    grip = world.friction * stopped
    vy = vy + stopped
    slower = vx - (grip if vx > 0.0 else -grip)
    vx = 0.0 if abs(vx) < grip else slower
    return x + world.dt * vx, y + world.dt * vy, vx, vy


@njit(cache=True, nogil=True, error_model="numpy")
def advance(s: NDArray, part: float, world: World) -> None:
    """One step of every lane.

    Args:
        s: The state ``(ROWS * LANES,)``, changed in place.
        part: λ, the share of this segment's command in the step.
        world: Constants.
    """
    c = 8.0 * world.damping
    hip, hip_damping = 20.0 * world.bending, 8.0 * world.damping
    knee, knee_damping = 10.0 * world.bending, 4.0 * world.damping
    for i in range(LANES):
        h = (1.0 - part) * s[COMMANDS * LANES + i] + part * s[(COMMANDS + 2) * LANES + i]
        g = (1.0 - part) * s[(COMMANDS + 1) * LANES + i] + part * s[(COMMANDS + 3) * LANES + i]
        p0, p1, p2 = load(s, i, 0), load(s, i, 1), load(s, i, 2)
        p3, p4, p5 = load(s, i, 3), load(s, i, 4), load(s, i, 5)
        distance, alive, steps = (
            s[DISTANCE * LANES + i],
            s[ALIVE * LANES + i],
            s[STEPS * LANES + i],
        )
        e0, e1 = edge(p0, p1, 0.5, 160.0, c), edge(p1, p2, 0.5, 180.0, c)
        e2, e3 = edge(p0, p3, 0.5, 160.0, c), edge(p3, p4, 0.5, 180.0, c)
        e4 = edge(p0, p5, 0.9, 160.0, c)
        hip_a = torque(e4, e0, -(2.8 + h), hip, hip_damping)
        hip_b = torque(e4, e2, -(2.8 - h), hip, hip_damping)
        knee_a = torque(e0, e1, -0.9 * (1.0 - g), knee, knee_damping)
        knee_b = torque(e2, e3, -0.9 * (1.0 + g), knee, knee_damping)
        t0, t2, t4 = knee_a - hip_a, knee_b - hip_b, hip_a + hip_b
        f0x, f0y = e0[0] + t0 * e0[4], e0[1] + t0 * e0[5]
        f1x, f1y = e1[0] - knee_a * e1[4], e1[1] - knee_a * e1[5]
        f2x, f2y = e2[0] + t2 * e2[4], e2[1] + t2 * e2[5]
        f3x, f3y = e3[0] - knee_b * e3[4], e3[1] - knee_b * e3[5]
        f4x, f4y = e4[0] + t4 * e4[4], e4[1] + t4 * e4[5]
        head = move(p5, f4x, f4y, 1 / 10, world)
        store(s, i, 0, move(p0, -f0x - f2x - f4x, -f0y - f2y - f4y, 1 / 30, world))
        store(s, i, 1, move(p1, f0x - f1x, f0y - f1y, 1 / 10, world))
        store(s, i, 2, move(p2, f1x, f1y, 1 / 5, world))
        store(s, i, 3, move(p3, f2x - f3x, f2y - f3y, 1 / 10, world))
        store(s, i, 4, move(p4, f3x, f3y, 1 / 5, world))
        store(s, i, HEAD, head)
        s[DISTANCE * LANES + i] = head[0] if alive > 0.0 else distance
        s[STEPS * LANES + i] = steps + alive
        down = (p0[1] <= 0.0) | (p5[1] <= 0.0)
        s[ALIVE * LANES + i] = 0.0 if down else alive


@njit(cache=True, nogil=True, error_model="numpy")
def play_segment(s: NDArray, world: World) -> None:
    """Ten steps of every lane, or fewer when no runner is left on its feet."""
    for step in range(SEGMENT_STEPS):
        advance(s, 0.05 + 0.1 * step, world)
        running = 0.0
        for lane in range(LANES):
            running += s[ALIVE * LANES + lane]
        if running == 0.0:
            break


@njit(cache=True, nogil=True, error_model="numpy")
def command(s: NDArray, lane: int, plans: NDArray, plan: int, segment: int) -> None:
    """Gives a lane the commands of a segment and of the one before."""
    for joint in range(2):
        before = plans[plan, 2 * segment - 2 + joint] if segment else FIRST_COMMANDS[joint]
        s[(COMMANDS + joint) * LANES + lane] = before
        s[(COMMANDS + 2 + joint) * LANES + lane] = plans[plan, 2 * segment + joint]


@njit(cache=True, nogil=True, error_model="numpy")
def race(plans: NDArray, distances: NDArray, start: NDArray, world: World) -> None:
    """Plays all plans, and writes how far they come.

    A lane whose runner fell or arrived takes the next plan at the end of its segment, so that no
    lane waits for another one's runner.

    Args:
        plans: ``(B, 40)``.
        distances: ``(B,)``, written.
        start: The runner at the start, in the first lane.
        world: Constants.
    """
    s, segment = np.zeros(ROWS * LANES), np.zeros(LANES, np.int64)
    plan = np.zeros(LANES, np.int64) - 1
    following = finished = 0
    while finished < len(plans):
        for lane in range(LANES):
            if plan[lane] < 0 and following < len(plans):
                plan[lane], segment[lane] = following, 0
                for row in range(ROWS):
                    s[row * LANES + lane] = start[row * LANES]
                following += 1
            if plan[lane] >= 0:
                command(s, lane, plans, plan[lane], segment[lane])
        play_segment(s, world)
        for lane in range(LANES):
            segment[lane] += 1
            over = segment[lane] == SEGMENTS or s[ALIVE * LANES + lane] == 0.0
            if plan[lane] >= 0 and over:
                distances[plan[lane]] = s[DISTANCE * LANES + lane]
                plan[lane], s[ALIVE * LANES + lane] = -1, 0.0
                finished += 1


@njit(cache=True, nogil=True, error_model="numpy")
def record(plans: NDArray, s: NDArray, points: NDArray, world: World) -> None:
    """Plays the first plan in the first lane, and writes x and y of its points after every step."""
    for step in range(len(points)):
        for point in range(POINTS):
            points[step, point, 0] = s[point * LANES]
            points[step, point, 1] = s[(Y + point) * LANES]
        if step == len(points) - 1 or s[ALIVE * LANES] == 0.0:
            break
        command(s, 0, plans, 0, step // SEGMENT_STEPS)
        advance(s, 0.05 + 0.1 * (step % SEGMENT_STEPS), world)
