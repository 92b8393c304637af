"""One step of the runner, for `LANES` plans side by side.

Each lane is a runner of its own. The loop over lanes is the innermost one and has no branches, so
that the compiler turns it into vector instructions; that is what makes the simulator fast. Only
operations that IEEE 754 defines to the last bit are used (the arc tangent is ours for that reason,
and nothing may be contracted or reordered), so a plan's distance depends neither on its neighbours
nor on the number of threads.
"""

import math

import numpy as np
from numba import njit

from tasks.arrays import Floats
from tasks.qwop.body import (
    FIRST_COMMANDS,
    POINTS,
    SEGMENT_STEPS,
    SEGMENTS,
    START,
    Joint,
    Limb,
    Point,
    Spring,
    World,
)

__all__ = [
    "ALIVE",
    "COMMANDS",
    "DISTANCE",
    "LANES",
    "ROWS",
    "STEPS",
    "VX",
    "World",
    "Y",
    "advance",
    "arctan2",
    "give_commands",
    "initial_state",
    "play_segment",
    "race",
    "record_steps",
]

HIP, KNEE_A, FOOT_A, KNEE_B, FOOT_B, HEAD = range(POINTS)

LANES = 8
"""Runners in one block: two registers of four doubles, or one of eight."""

Y, VX, VY = POINTS, 2 * POINTS, 3 * POINTS
DISTANCE, ALIVE, STEPS = 4 * POINTS, 4 * POINTS + 1, 4 * POINTS + 2
COMMANDS = 4 * POINTS + 3
ROWS = COMMANDS + 4
"""Rows of a state ``(ROWS, LANES)``: x, y, v_x and v_y of all points; the head's x, which stands
still after a fall; whether the runner is on its feet (1 or 0); the steps it took; hip and knee
command of the segment before, and of this one."""

compiled = njit(cache=True, nogil=True, error_model="numpy")
inlined = njit(cache=True, nogil=True, error_model="numpy", forceinline=True)

FIRST_SHARE, SHARE = 0.05, 0.1
"""λ, the share of a segment's command, in its first step, and by how much it grows in each."""


def initial_state() -> Floats:
    """A block ``(ROWS * LANES,)``: a runner at rest at the start in lane 0, none elsewhere."""
    state = np.zeros((ROWS, LANES))
    state[:VX, 0] = np.array(START).T.ravel()
    state[DISTANCE, 0], state[ALIVE, 0] = START[HEAD][0], 1.0
    return state.ravel()


@inlined
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


@inlined
def load_point(s: Floats, i: int, point: int) -> Point:
    """A point in lane ``i``, lifted to the ground where it sank below."""
    at = point * LANES + i
    y = s[at + Y * LANES]
    return Point(s[at], (y if y > 0.0 else 0.0), s[at + VX * LANES], s[at + VY * LANES])


@inlined
def store_point(s: Floats, i: int, point: int, p: Point) -> None:
    """Writes what `load_point` reads."""
    at = point * LANES + i
    s[at], s[at + Y * LANES], s[at + VX * LANES], s[at + VY * LANES] = p.x, p.y, p.vx, p.vy


@inlined
def limb(a: Point, b: Point, spring: Spring, world: World) -> Limb:
    """The spring from point a to point b."""
    dx, dy, ux, uy = b.x - a.x, b.y - a.y, b.vx - a.vx, b.vy - a.vy
    r = math.sqrt(dx * dx + dy * dy) + world.softening
    inverse = 1.0 / r
    damping = spring.damping * world.damping
    force = ((spring.length - r) * spring.stiffness - 2.0 * (dx * ux + dy * uy) * damping) * inverse
    square = inverse * inverse
    return Limb(
        fx=force * dx,
        fy=force * dy,
        angle=arctan2(dy, dx),
        rate=(ux * dy - uy * dx) * square,
        qx=-dy * square,
        qy=dx * square,
        stretch=r * spring.inverse_length,
    )


@inlined
def torque(a: Limb, b: Limb, target: float, joint: Joint, world: World) -> float:
    """T = δ·stiffness − (ω_b − ω_a)·damping·min(r_a/L_a, r_b/L_b) between two limbs.

    δ = θ_b − θ_a − target, brought back by one turn if outside [−π, π].
    """
    delta = b.angle - a.angle - target
    over = 2.0 * math.pi if delta > math.pi else 0.0
    under = 2.0 * math.pi if delta < -math.pi else 0.0
    stretch = a.stretch if a.stretch < b.stretch else b.stretch
    stiffness, damping = joint.stiffness * world.bending, joint.damping * world.damping
    return (delta - over + under) * stiffness - (b.rate - a.rate) * damping * stretch


@inlined
def pull(spring: Limb, twist: float) -> tuple[float, float]:
    """A limb's force on its far end, where its joints twist it; its near end feels the opposite."""
    return spring.fx + twist * spring.qx, spring.fy + twist * spring.qy


@inlined
def move(p: Point, fx: float, fy: float, inverse_mass: float, world: World) -> Point:
    """A point one step on; on the ground it loses what the floor and friction take."""
    vx = p.vx + world.dt * (fx * inverse_mass)
    vy = p.vy + world.dt * (fy * inverse_mass - world.gravity)
    stopped = -vy if (p.y <= 0.0) & (vy < 0.0) else 0.0
    grip = world.friction * stopped
    vy = vy + stopped
    slower = vx - (grip if vx > 0.0 else -grip)
    vx = 0.0 if abs(vx) < grip else slower
    return Point(p.x + world.dt * vx, p.y + world.dt * vy, vx, vy)


@inlined
def blend(s: Floats, i: int, joint: int, part: float) -> float:
    """A command between that of the segment before and this one's share ``part``."""
    before, this = s[(COMMANDS + joint) * LANES + i], s[(COMMANDS + 2 + joint) * LANES + i]
    return (1.0 - part) * before + part * this


@compiled
def advance(s: Floats, part: float, world: World) -> None:
    """One step of every lane.

    The loop's body is one piece: a loop around a single call is unrolled by the compiler before it
    sees that the lanes are alike, and is then nine times slower.

    Args:
        s: The state ``(ROWS * LANES,)``, changed in place.
        part: λ, the share of this segment's command in the step.
        world: Constants.
    """
    inverse = world.inverse_masses
    for i in range(LANES):
        hip, head = load_point(s, i, HIP), load_point(s, i, HEAD)
        knee_a, foot_a = load_point(s, i, KNEE_A), load_point(s, i, FOOT_A)
        knee_b, foot_b = load_point(s, i, KNEE_B), load_point(s, i, FOOT_B)
        before, alive = s[DISTANCE * LANES + i], s[ALIVE * LANES + i]
        trunk = limb(hip, head, world.trunk, world)
        thigh_a = limb(hip, knee_a, world.thigh, world)
        thigh_b = limb(hip, knee_b, world.thigh, world)
        shin_a = limb(knee_a, foot_a, world.shin, world)
        shin_b = limb(knee_b, foot_b, world.shin, world)
        h, g = blend(s, i, 0, part), blend(s, i, 1, part)
        hip_a = torque(trunk, thigh_a, world.hip.angle - h, world.hip, world)
        hip_b = torque(trunk, thigh_b, world.hip.angle + h, world.hip, world)
        bend_a = torque(thigh_a, shin_a, world.knee.angle * (1.0 - g), world.knee, world)
        bend_b = torque(thigh_b, shin_b, world.knee.angle * (1.0 + g), world.knee, world)
        tx, ty = pull(trunk, hip_a + hip_b)
        ax, ay = pull(thigh_a, bend_a - hip_a)
        bx, by = pull(thigh_b, bend_b - hip_b)
        sax, say = pull(shin_a, -bend_a)
        sbx, sby = pull(shin_b, -bend_b)
        moved = move(head, tx, ty, inverse[HEAD], world)
        store_point(s, i, HEAD, moved)
        store_point(s, i, HIP, move(hip, -ax - bx - tx, -ay - by - ty, inverse[HIP], world))
        store_point(s, i, KNEE_A, move(knee_a, ax - sax, ay - say, inverse[KNEE_A], world))
        store_point(s, i, FOOT_A, move(foot_a, sax, say, inverse[FOOT_A], world))
        store_point(s, i, KNEE_B, move(knee_b, bx - sbx, by - sby, inverse[KNEE_B], world))
        store_point(s, i, FOOT_B, move(foot_b, sbx, sby, inverse[FOOT_B], world))
        down = (hip.y <= 0.0) | (head.y <= 0.0)
        s[DISTANCE * LANES + i] = moved.x if alive > 0.0 else before
        s[STEPS * LANES + i] += alive
        s[ALIVE * LANES + i] = 0.0 if down else alive


@compiled
def play_segment(s: Floats, world: World) -> None:
    """Ten steps of every lane, or fewer when no runner is left on its feet."""
    for step in range(SEGMENT_STEPS):
        advance(s, FIRST_SHARE + SHARE * step, world)
        running = 0.0
        for lane in range(LANES):
            running += s[ALIVE * LANES + lane]
        if running == 0.0:
            break


@compiled
def give_commands(s: Floats, lane: int, plans: Floats, plan: int, segment: int) -> None:
    """Gives a lane the commands of a segment and of the one before."""
    for joint in range(2):
        before = plans[plan, 2 * segment - 2 + joint] if segment else FIRST_COMMANDS[joint]
        s[(COMMANDS + joint) * LANES + lane] = before
        s[(COMMANDS + 2 + joint) * LANES + lane] = plans[plan, 2 * segment + joint]


@compiled
def race(plans: Floats, distances: Floats, start: Floats, world: World) -> None:
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
                give_commands(s, lane, plans, plan[lane], segment[lane])
        play_segment(s, world)
        for lane in range(LANES):
            segment[lane] += 1
            over = segment[lane] == SEGMENTS or s[ALIVE * LANES + lane] == 0.0
            if plan[lane] >= 0 and over:
                distances[plan[lane]] = s[DISTANCE * LANES + lane]
                plan[lane], s[ALIVE * LANES + lane] = -1, 0.0
                finished += 1


@compiled
def record_steps(plans: Floats, s: Floats, points: Floats, world: World) -> None:
    """Plays the first plan in the first lane, and writes x and y of its points after every step."""
    for step in range(len(points)):
        for point in range(POINTS):
            points[step, point, 0] = s[point * LANES]
            points[step, point, 1] = s[(Y + point) * LANES]
        if step == len(points) - 1 or s[ALIVE * LANES] == 0.0:
            break
        give_commands(s, 0, plans, 0, step // SEGMENT_STEPS)
        advance(s, FIRST_SHARE + SHARE * (step % SEGMENT_STEPS), world)
