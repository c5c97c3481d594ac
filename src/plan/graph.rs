//! From steps to an order: a graph whose edges carry their reasons.
//!
//! Edges come from the order table (phases) and from steps that write the same thing (the recipe's order decides, because
//! the later one is meant to win). Between steps that no edge orders, the recipe's order is kept. Phases are nodes of their own in the
//! graph, so that a thousand steps before a thousand others need two thousand edges and not a million.

use std::{
    cmp::Reverse,
    collections::{BTreeMap, BinaryHeap},
};

use petgraph::{
    Direction,
    graph::{DiGraph, NodeIndex},
    visit::EdgeRef as _,
};

use super::order::Phase;

/// Something that two steps may both write.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Subject {
    /// Parts from the root of whatever it is: `["file", "windows", "panther"]`, folded so that equal means equal.
    pub path: Vec<String>,
    /// True when the step touches everything below it too.
    pub whole: bool,
}

/// What the graph knows of a step: steps are given in the recipe's order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Vertex {
    /// Its phase.
    pub phase: Phase,
    /// What it writes.
    pub subjects: Vec<Subject>,
    /// What must be done before it, by its number in the recipe's order, and why.
    pub requires: Vec<(usize, String)>,
}

/// Why a step stands after another.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Reason {
    /// The order table says so.
    OrderTable {
        /// The phase before.
        after: Phase,
    },
    /// Both write the same thing, and the recipe names the other one first.
    SameSubject {
        /// The other step, by its number in the recipe's order.
        after: usize,
        /// The thing.
        what: String,
    },
    /// The other step brings what this one needs.
    Requires {
        /// The other step, by its number in the recipe's order.
        after: usize,
        /// What it brings.
        what: String,
    },
}

/// Steps in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ordered {
    /// Numbers of the steps in the recipe's order, in the order of execution.
    pub order: Vec<usize>,
    /// For each step, by its number in the recipe's order: why it does not stand earlier.
    pub reasons: Vec<Vec<Reason>>,
}

/// Steps that each must come before the next, and the last before the first.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{} steps wait for each other", .steps.len())]
pub struct Cycle {
    /// The steps of the circle, by their numbers in the recipe's order, each with why it waits for the one before it.
    pub steps: Vec<(usize, String)>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Node {
    Step(usize),
    /// Everything of this phase is done.
    Done(Phase),
}

/// Orders the steps.
///
/// # Errors
/// When steps wait for each other in a circle.
pub fn order(steps: &[Vertex]) -> Result<Ordered, Cycle> {
    let mut reasons: Vec<Vec<Reason>> = vec![Vec::new(); steps.len()];
    let mut graph: DiGraph<Node, Option<Reason>> = DiGraph::new();
    let nodes: Vec<NodeIndex> =
        (0..steps.len()).map(|number| graph.add_node(Node::Step(number))).collect();
    add_phases(&mut graph, &nodes, steps, &mut reasons);
    for reason in same_subjects(steps) {
        let (number, reason) = reason;
        let Reason::SameSubject { after, .. } = &reason else { continue };
        graph.add_edge(nodes[*after], nodes[number], Some(reason.clone()));
        reasons[number].push(reason);
    }
    for (number, step) in steps.iter().enumerate() {
        for (after, what) in &step.requires {
            let reason = Reason::Requires { after: *after, what: what.clone() };
            graph.add_edge(nodes[*after], nodes[number], Some(reason.clone()));
            reasons[number].push(reason);
        }
    }
    match sort(&graph) {
        Some(order) => Ok(Ordered { order, reasons }),
        None => Err(find_cycle(&graph, steps)),
    }
}

/// Adds a node for the end of each phase in use, and the edges of the order table.
fn add_phases(
    graph: &mut DiGraph<Node, Option<Reason>>,
    nodes: &[NodeIndex],
    steps: &[Vertex],
    reasons: &mut [Vec<Reason>],
) {
    let mut phases: BTreeMap<Phase, Vec<usize>> = BTreeMap::new();
    for (number, step) in steps.iter().enumerate() {
        phases.entry(step.phase).or_default().push(number);
    }
    let mut before: Option<(Phase, NodeIndex)> = None;
    for (phase, numbers) in phases {
        let done = graph.add_node(Node::Done(phase));
        for number in numbers {
            if let Some((after, gate)) = before {
                let reason = Reason::OrderTable { after };
                graph.add_edge(gate, nodes[number], Some(reason.clone()));
                reasons[number].push(reason);
            }
            graph.add_edge(nodes[number], done, None);
        }
        before = Some((phase, done));
    }
}

/// For steps of one phase that write the same thing, or one below what the other takes whole: the later one and why it waits.
fn same_subjects(steps: &[Vertex]) -> Vec<(usize, Reason)> {
    let mut found = Vec::new();
    // The last writer of each thing, and the last that took it whole; and whether anything below it was written.
    let mut exact: BTreeMap<(Phase, &[String]), usize> = BTreeMap::new();
    let mut whole: BTreeMap<(Phase, &[String]), usize> = BTreeMap::new();
    for (number, step) in steps.iter().enumerate() {
        let mut after: BTreeMap<usize, &[String]> = BTreeMap::new();
        for subject in &step.subjects {
            let path = subject.path.as_slice();
            if let Some(other) = exact.get(&(step.phase, path)) {
                after.entry(*other).or_insert(path);
            }
            for length in 0..path.len() {
                if let Some(other) = whole.get(&(step.phase, &path[..length])) {
                    after.entry(*other).or_insert(&path[..length]);
                }
            }
            if subject.whole {
                let below = exact.range((step.phase, path)..);
                for ((phase, other_path), other) in below {
                    if *phase != step.phase || !other_path.starts_with(path) {
                        break;
                    }
                    after.entry(*other).or_insert(other_path);
                }
            }
        }
        for (other, path) in after {
            if other != number {
                let what = path.join("\\");
                found.push((number, Reason::SameSubject { after: other, what }));
            }
        }
        for subject in &step.subjects {
            exact.insert((step.phase, &subject.path), number);
            if subject.whole {
                whole.insert((step.phase, &subject.path), number);
            }
        }
    }
    found
}

/// Topological order that keeps the recipe's order where the edges leave a choice; `None` when there is a circle.
fn sort(graph: &DiGraph<Node, Option<Reason>>) -> Option<Vec<usize>> {
    // The end of a phase goes first: it only lets others go.
    let priority = |node: NodeIndex| match graph[node] {
        Node::Done(_) => 0,
        Node::Step(number) => number + 1,
    };
    let mut waiting: Vec<usize> = graph
        .node_indices()
        .map(|node| graph.edges_directed(node, Direction::Incoming).count())
        .collect();
    let mut ready: BinaryHeap<Reverse<(usize, NodeIndex)>> = graph
        .node_indices()
        .filter(|node| waiting[node.index()] == 0)
        .map(|node| Reverse((priority(node), node)))
        .collect();
    let mut order = Vec::new();
    let mut done = 0;
    while let Some(Reverse((_, node))) = ready.pop() {
        done += 1;
        if let Node::Step(number) = graph[node] {
            order.push(number);
        }
        for next in graph.neighbors(node) {
            waiting[next.index()] -= 1;
            if waiting[next.index()] == 0 {
                ready.push(Reverse((priority(next), next)));
            }
        }
    }
    (done == graph.node_count()).then_some(order)
}

/// The steps of one circle, in order.
fn find_cycle(graph: &DiGraph<Node, Option<Reason>>, steps: &[Vertex]) -> Cycle {
    let circle = petgraph::algo::tarjan_scc(graph)
        .into_iter()
        .filter(|nodes| nodes.len() > 1 || graph.contains_edge(nodes[0], nodes[0]))
        .min_by_key(Vec::len)
        .unwrap_or_default();
    // Walk inside the component, always to the first neighbour in it, until a node repeats.
    let mut path: Vec<(NodeIndex, String)> = Vec::new();
    let mut at = circle.iter().copied().min();
    while let Some(node) = at {
        if let Some(start) = path.iter().position(|(seen, _)| *seen == node) {
            path.drain(..start);
            break;
        }
        let edge = graph
            .edges_directed(node, Direction::Incoming)
            .filter(|edge| circle.contains(&edge.source()))
            .min_by_key(|edge| edge.source());
        let why = edge.and_then(|edge| edge.weight().as_ref()).map(describe).unwrap_or_default();
        at = edge.map(|edge| edge.source());
        path.push((node, why));
    }
    let mut found: Vec<(usize, String)> = path
        .into_iter()
        .filter_map(|(node, why)| match graph[node] {
            Node::Step(number) if number < steps.len() => Some((number, why)),
            _ => None,
        })
        .collect();
    // The walk went from each step to the one it waits for.
    found.reverse();
    Cycle { steps: found }
}

fn describe(reason: &Reason) -> String {
    match reason {
        Reason::OrderTable { after } => format!("the order table puts `{}` first", after.name()),
        Reason::SameSubject { what, .. } => format!("both write {what}"),
        Reason::Requires { what, .. } => format!("needs {what}"),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn vertex(phase: Phase, paths: &[(&str, bool)]) -> Vertex {
        let subject = |(path, whole): &(&str, bool)| Subject {
            path: path.split('\\').map(str::to_owned).collect(),
            whole: *whole,
        };
        Vertex { phase, subjects: paths.iter().map(subject).collect(), requires: Vec::new() }
    }

    #[test]
    fn phases_decide_and_the_recipe_breaks_ties() {
        let phases =
            [Phase::Files, Phase::Registry, Phase::Services, Phase::Registry, Phase::Files];
        let steps: Vec<Vertex> = phases.iter().map(|phase| vertex(*phase, &[])).collect();
        let ordered = order(&steps).unwrap();
        assert_eq!(ordered.order, [2, 1, 3, 0, 4]);
        assert_eq!(ordered.reasons[2], []);
        assert_eq!(ordered.reasons[3], [Reason::OrderTable { after: Phase::Services }]);
        assert_eq!(ordered.reasons[4], [Reason::OrderTable { after: Phase::Registry }]);
    }

    #[test]
    fn steps_that_write_the_same_thing_say_so() {
        let steps = [
            vertex(Phase::Registry, &[(r"software\a", false)]),
            vertex(Phase::Registry, &[(r"software\b", false)]),
            vertex(Phase::Registry, &[(r"software\a", false)]),
            vertex(Phase::Registry, &[("software", true)]),
            vertex(Phase::Registry, &[(r"software\b\c", false)]),
            vertex(Phase::Files, &[("software", true)]),
        ];
        let ordered = order(&steps).unwrap();
        let same = |after, what: &str| Reason::SameSubject { after, what: what.to_owned() };
        assert_eq!(ordered.reasons[1], []);
        assert_eq!(ordered.reasons[2], [same(0, r"software\a")]);
        assert_eq!(ordered.reasons[3], [same(1, r"software\b"), same(2, r"software\a")]);
        assert_eq!(ordered.reasons[4], [same(3, "software")]);
        assert_eq!(ordered.reasons[5], [Reason::OrderTable { after: Phase::Registry }]);
    }

    #[test]
    fn a_circle_is_named_with_its_reasons() {
        let mut steps = vec![vertex(Phase::Packages, &[]); 4];
        steps[1].requires.push((3, "the servicing stack".to_owned()));
        steps[3].requires.push((2, "kb2".to_owned()));
        steps[2].requires.push((1, "kb1".to_owned()));
        let cycle = order(&steps).unwrap_err();
        let mut numbers: Vec<usize> = cycle.steps.iter().map(|(number, _)| *number).collect();
        numbers.sort_unstable();
        assert_eq!(numbers, [1, 2, 3]);
        assert!(cycle.steps.contains(&(2, "needs kb1".to_owned())), "{cycle:?}");
        // A requirement against the order table is a circle too.
        let mut steps = vec![vertex(Phase::Languages, &[]), vertex(Phase::Packages, &[])];
        steps[0].requires.push((1, "it".to_owned()));
        assert_eq!(order(&steps).unwrap_err().steps.len(), 2);
    }

    #[test]
    fn thousands_of_steps_are_ordered_at_once() {
        let steps: Vec<Vertex> = (0..20_000)
            .map(|number| {
                let phase = if number % 2 == 0 { Phase::Files } else { Phase::Registry };
                vertex(phase, &[(&format!(r"a\b\{number}"), false)])
            })
            .collect();
        let ordered = order(&steps).unwrap();
        assert_eq!(ordered.order[0], 1);
        assert_eq!(ordered.order[10_000], 0);
    }

    proptest! {
        #[test]
        fn every_order_respects_phases_and_conflicts(
            choices in proptest::collection::vec((0_usize..4, 0_usize..5, any::<bool>()), 0..40)
        ) {
            let phases = [Phase::Services, Phase::Registry, Phase::Files, Phase::Setup];
            let paths = ["a", r"a\b", r"a\b\c", "d", r"d\e"];
            let steps: Vec<Vertex> = choices
                .iter()
                .map(|(phase, path, whole)| vertex(phases[*phase], &[(paths[*path], *whole)]))
                .collect();
            let ordered = order(&steps).unwrap();
            // Conflicts follow the recipe and phases the table: together that is a stable sort by phase.
            let mut expected: Vec<usize> = (0..steps.len()).collect();
            expected.sort_by_key(|number| steps[*number].phase);
            prop_assert_eq!(ordered.order, expected);
        }
    }
}
