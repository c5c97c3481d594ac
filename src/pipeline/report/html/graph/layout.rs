//! Where the steps of a plan stand on the drawing, and how the lines between them run.
//!
//! Each phase is a band, one below the other. In a band the steps stand in the order of execution, row by row, so that every line goes to the right or down. Lines keep to
//! the alleys between rows and between columns: none crosses a step. Why a whole phase comes after another is said between their bands, once, instead of by a line from
//! each step to each.

use std::{collections::BTreeMap, fmt::Write as _};

use crate::pipeline::report::model::{ReasonPart, StepPart};

/// Width of a drawing.
pub(super) const WIDTH: usize = 1120;
/// Width of the names of the phases.
const LABELS: usize = 150;
/// Room right of the last column, for lines.
const MARGIN: usize = 14;
/// Room between bands, for the reason why the lower one is later.
pub(super) const GAP: usize = 28;
/// Radius of a line's corners.
const BEND: usize = 6;
/// How lines that share an alley are set apart.
const LANES: [usize; 4] = [0, 5, 10, 15];
/// What a reason begins with that holds for a whole phase.
pub(in super::super) const PHASE_WIDE: &str = "order table: ";

/// A place on the drawing.
pub(super) type Point = (usize, usize);

/// A drawing.
#[derive(Debug, Default)]
pub(super) struct Layout {
    /// Its height.
    pub(super) height: usize,
    /// Width and height of a step.
    pub(super) node: Point,
    /// True when there are many steps: each has one line of text only.
    pub(super) compact: bool,
    /// The phases.
    pub(super) bands: Vec<Band>,
    /// Upper left corners of the steps.
    pub(super) places: Vec<Point>,
    /// The lines.
    pub(super) wires: Vec<Wire>,
}

/// A phase.
#[derive(Debug)]
pub(super) struct Band {
    /// Its name.
    pub(super) phase: String,
    /// Why it comes after the one above it.
    pub(super) why: Option<String>,
    /// How many steps it has.
    pub(super) steps: usize,
    /// Its upper edge.
    pub(super) top: usize,
    /// Its height.
    pub(super) height: usize,
}

/// A line from a step to one that must be later.
#[derive(Debug)]
pub(super) struct Wire {
    /// Place of the earlier one among the steps.
    pub(super) from: usize,
    /// Place of the later one.
    pub(super) to: usize,
    /// Why.
    pub(super) why: String,
    /// Its corners, both ends with them.
    pub(super) corners: Vec<Point>,
}

/// Columns, rows and the alleys between them.
#[derive(Debug, Clone, Copy)]
struct Grid {
    columns: usize,
    node: Point,
    alley: Point,
}

impl Grid {
    /// A grid for `steps`, of which a band has at most `widest`.
    fn new(steps: usize, widest: usize) -> Self {
        let (columns, height, alley) = match steps {
            0..=48 => (widest.clamp(2, 3), 46, (30, 20)),
            49..=150 => (5, 30, (28, 20)),
            _ => (6, 28, (24, 18)),
        };
        let node = ((WIDTH - LABELS - MARGIN) / columns - alley.0, height);
        Self { columns, node, alley }
    }

    /// The left edge of a column.
    fn left(self, column: usize) -> usize {
        LABELS + self.alley.0 / 2 + column * (self.node.0 + self.alley.0)
    }

    /// The line that number `lane` takes through the alley left of a column.
    fn alley(self, column: usize, lane: usize) -> usize {
        let lanes = LANES[LANES.len() - 1];
        self.left(column) - self.alley.0 / 2 - lanes / 2 + LANES[lane % LANES.len()]
    }
}

/// Draws the plan of `steps`, which are in the order of execution.
pub(super) fn layout(steps: &[StepPart]) -> Layout {
    let phases: Vec<&[StepPart]> = steps.chunk_by(|one, other| one.phase == other.phase).collect();
    let widest = phases.iter().map(|phase| phase.len()).max().unwrap_or(0);
    let grid = Grid::new(steps.len(), widest);
    let mut drawing = Layout { node: grid.node, compact: grid.node.1 < 40, ..Layout::default() };
    let mut cells: Vec<Point> = Vec::new();
    let mut top = 0;
    for (place, phase) in phases.into_iter().enumerate() {
        if place > 0 {
            top += GAP;
        }
        let rows = phase.len().div_ceil(grid.columns);
        let height = rows * (grid.node.1 + grid.alley.1) + grid.alley.1;
        for index in 0..phase.len() {
            let (column, row) = (index % grid.columns, index / grid.columns);
            let y = top + grid.alley.1 + row * (grid.node.1 + grid.alley.1);
            cells.push((column, y));
            drawing.places.push((grid.left(column), y));
        }
        let why = phase.iter().flat_map(|step| &step.reasons).find_map(phase_wide);
        drawing.bands.push(Band {
            phase: phase[0].phase.clone(),
            why: why.filter(|_| place > 0).map(str::to_owned),
            steps: phase.len(),
            top,
            height,
        });
        top += height;
    }
    drawing.height = top;
    drawing.wires = wires(steps, grid, &cells);
    drawing
}

/// What a reason says that holds for a whole phase; nothing of others.
fn phase_wide(reason: &ReasonPart) -> Option<&str> {
    reason.why.strip_prefix(PHASE_WIDE)
}

fn wires(steps: &[StepPart], grid: Grid, cells: &[Point]) -> Vec<Wire> {
    let places: BTreeMap<usize, usize> =
        steps.iter().enumerate().map(|(place, step)| (step.number, place)).collect();
    let mut wires: BTreeMap<(usize, usize), Wire> = BTreeMap::new();
    for (to, step) in steps.iter().enumerate() {
        for reason in step.reasons.iter().filter(|reason| phase_wide(reason).is_none()) {
            for from in reason.after.iter().filter_map(|number| places.get(number)) {
                if *from == to {
                    continue;
                }
                let wire = wires.entry((*from, to)).or_insert_with(|| Wire {
                    from: *from,
                    to,
                    why: String::new(),
                    corners: route(grid, cells[*from], cells[to], *from),
                });
                if !wire.why.is_empty() {
                    wire.why.push_str("; ");
                }
                wire.why.push_str(&reason.why);
            }
        }
    }
    wires.into_values().collect()
}

/// The corners of a line between two cells, each a column and an upper edge: out to the right, through alleys, in from the left.
fn route(grid: Grid, from: Point, to: Point, lane: usize) -> Vec<Point> {
    let middle = grid.node.1 / 2;
    let start = (grid.left(from.0) + grid.node.0, from.1 + middle);
    let end = (grid.left(to.0), to.1 + middle);
    if from.0 + 1 == to.0 && from.1 == to.1 {
        return vec![start, end];
    }
    let out = grid.alley(from.0 + 1, lane);
    if from.0 + 1 == to.0 {
        return vec![start, (out, start.1), (out, end.1), end];
    }
    let within = grid.alley(to.0, lane);
    let shift = LANES[lane % LANES.len()] / 2;
    let across = if from.1 == to.1 {
        from.1 + grid.node.1 + grid.alley.1 / 2 - 3 + shift
    } else {
        to.1 - grid.alley.1 / 2 - 3 + shift
    };
    vec![start, (out, start.1), (out, across), (within, across), (within, end.1), end]
}

/// The outline of a line with round corners, in the language of SVG paths.
pub(super) fn outline(corners: &[Point]) -> String {
    let mut path = String::new();
    for (place, &(x, y)) in corners.iter().enumerate() {
        let last = place + 1 == corners.len();
        // Writing to a string cannot fail.
        if place == 0 {
            write!(path, "M{x} {y}").ok();
        } else if last {
            write!(path, "L{x} {y}").ok();
        } else {
            let enter = toward((x, y), corners[place - 1]);
            let leave = toward((x, y), corners[place + 1]);
            write!(path, "L{} {}Q{x} {y} {} {}", enter.0, enter.1, leave.0, leave.1).ok();
        }
    }
    path
}

/// A point on the way from a corner to the next, a bend's radius off or half of the way.
fn toward(corner: Point, other: Point) -> Point {
    let step = |from: usize, to: usize| {
        let radius = BEND.min(from.abs_diff(to) / 2);
        if to < from { from - radius } else { from + radius }
    };
    (step(corner.0, other.0), step(corner.1, other.1))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn step(number: usize, phase: usize, after: &[usize]) -> StepPart {
        let mut reasons: Vec<ReasonPart> = after
            .iter()
            .map(|after| ReasonPart { after: vec![*after], why: "both write it".to_owned() })
            .collect();
        reasons.push(ReasonPart { after: vec![1], why: format!("order table: why {phase}") });
        StepPart { number, phase: format!("phase-{phase}"), reasons, ..StepPart::default() }
    }

    /// `count` steps in phases of `each`; each waits for some before it.
    fn plan(count: usize, each: usize) -> Vec<StepPart> {
        let steps = 1..=count;
        let after = |number: usize| -> Vec<usize> {
            [1, 3, 7, 20].iter().filter_map(|back| number.checked_sub(*back)).collect()
        };
        steps.map(|number| step(number, number / each, &after(number))).collect()
    }

    fn overlap(one: Point, other: Point, node: Point) -> bool {
        one.0 < other.0 + node.0
            && other.0 < one.0 + node.0
            && one.1 < other.1 + node.1
            && other.1 < one.1 + node.1
    }

    #[test]
    fn steps_never_overlap_and_stay_in_their_band() {
        for (count, each) in [(0, 1), (1, 1), (5, 2), (48, 9), (60, 60), (149, 31), (400, 57)] {
            let steps = plan(count, each);
            let drawing = layout(&steps);
            assert_eq!(drawing.places.len(), count);
            for (place, one) in drawing.places.iter().enumerate() {
                assert!(one.0 > LABELS && one.0 + drawing.node.0 <= WIDTH, "{count} {each}");
                for other in &drawing.places[..place] {
                    assert!(!overlap(*one, *other, drawing.node), "{count} {each}");
                }
            }
            let mut place = 0;
            for band in &drawing.bands {
                for _ in 0..band.steps {
                    let y = drawing.places[place].1;
                    assert!(y > band.top && y + drawing.node.1 < band.top + band.height);
                    place += 1;
                }
            }
            assert!(drawing.bands.windows(2).all(|b| b[0].top + b[0].height + GAP == b[1].top));
        }
    }

    #[test]
    fn no_line_crosses_a_step_and_each_goes_right_or_down() {
        for (count, each) in [(7, 7), (48, 9), (149, 31), (400, 57)] {
            let drawing = layout(&plan(count, each));
            assert!(!drawing.wires.is_empty());
            for wire in &drawing.wires {
                let frame = LABELS - 8..WIDTH - 3;
                assert!(wire.corners.iter().all(|corner| frame.contains(&corner.0)));
                for ends in wire.corners.windows(2) {
                    let (low, high) = (ends[0].min(ends[1]), ends[0].max(ends[1]));
                    assert!(low.0 == high.0 || low.1 == high.1, "{ends:?} is slanted");
                    for place in &drawing.places {
                        let crosses = low.0 < place.0 + drawing.node.0
                            && high.0 > place.0
                            && low.1.min(high.1) < place.1 + drawing.node.1
                            && low.1.max(high.1) > place.1;
                        assert!(!crosses, "{ends:?} crosses {place:?} of {count}");
                    }
                }
            }
        }
    }

    #[test]
    fn a_reason_for_a_phase_is_told_once_and_draws_no_line() {
        let steps: Vec<StepPart> = (1..=40).map(|number| step(number, number / 20, &[])).collect();
        let drawing = layout(&steps);
        assert!(drawing.wires.is_empty());
        let whys: Vec<_> = drawing.bands.iter().map(|band| band.why.as_deref()).collect();
        assert_eq!(whys, [None, Some("why 1"), Some("why 2")]);
    }

    #[test]
    fn two_reasons_share_a_line_and_a_strange_number_draws_none() {
        let steps = [step(1, 0, &[]), step(2, 0, &[1, 1, 9, 2])];
        let drawing = layout(&steps);
        assert_eq!(drawing.wires.len(), 1);
        assert_eq!(drawing.wires[0].why, "both write it; both write it");
    }

    #[test]
    fn corners_are_round() {
        assert_eq!(outline(&[(0, 0), (20, 0), (20, 4)]), "M0 0L14 0Q20 0 20 2L20 4");
    }
}
