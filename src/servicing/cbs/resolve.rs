//! Which packages, and which parts of them, a step brings into force: from the root package down through its updates.
//!
//! An `update` of a package brings packages or deployments. It is
//! - a feature when it is `selectable`: in force when it is switched on (by this step, by the image, else by `detectNone default`); staged otherwise;
//! - bound to others by `applicable`: in force when the updates it names are; when they are not it is staged. With `updateComponent` it applies only when
//!   the image has the component in an older version, and is left out otherwise;
//! - in force with its package in all other cases.
//!
//! A package inside another whose parents are not in the image is left out: that is how one update serves several editions (KB4528069).
//! Updates of a language pack are in force with it, those of features that are off too: their resources do no harm, and are there when the feature is
//! switched on.
//!
//! Known from real packages, `facts/manifests-keyforms-pa30.md` section 2; the order of these rules is our reading of them.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use crate::{
    format::cbs::{Identity, Mum, mum::Update},
    servicing::{ServicingError, error::Problem},
};

use super::{
    classify, features,
    parents::{self, same_but_version},
    report,
    store::PackageState,
    world::{Origin, World},
};

/// Packages inside packages, at most.
const DEEPEST: usize = 32;

/// How far something goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Goal {
    /// Its payload is there.
    Staged,
    /// It is in force.
    Installed,
}

impl Goal {
    /// The state of a package that got there.
    pub(super) fn state(self) -> PackageState {
        match self {
            Self::Staged => PackageState::Staged,
            Self::Installed => PackageState::Installed,
        }
    }
}

/// A package that the step brings.
#[derive(Debug, Clone)]
pub(super) struct Chosen {
    pub id: String,
    pub identity: Identity,
    pub mum: Arc<Mum>,
    pub origin: Origin,
    pub goal: Goal,
    /// It came inside another and is not listed.
    pub hidden: bool,
    /// Packages that bring it.
    pub owners: Vec<String>,
    /// Its updates that are staged at least.
    pub updates: Vec<ChosenUpdate>,
}

/// An update that the step brings.
#[derive(Debug, Clone)]
pub(super) struct ChosenUpdate {
    pub name: String,
    pub goal: Goal,
    pub deployments: Vec<Identity>,
    pub is_feature: bool,
}

/// What became of a package.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Visit {
    /// It is among the chosen, or in the image already.
    Taken,
    /// It does not apply to the image: what it misses.
    NotApplicable(String),
}

/// Chooses packages.
pub(super) struct Resolver<'w, 'a> {
    pub world: &'w mut World<'a>,
    /// Features that this step switches, by name in lower case.
    pub switched: BTreeMap<String, bool>,
    /// What cannot be done natively is left to the first boot.
    pub at_first_boot: bool,
    /// By id in lower case.
    chosen: BTreeMap<String, Chosen>,
    /// Identities of what was chosen, by name in lower case.
    coming: BTreeMap<String, Vec<Identity>>,
    /// Ids in lower case, those inside before those around them.
    order: Vec<String>,
    /// How far updates go: id in lower case, name in lower case, how far their package goes.
    goals: BTreeMap<(String, String, Goal), Option<Goal>>,
    /// Those of `goals` that are being worked out and are a guess until then.
    open: BTreeSet<(String, String, Goal)>,
    /// Those that were worked out on the way to one, and whether a guess went into any.
    on_the_way: (Vec<(String, String, Goal)>, bool),
    /// What stands against it.
    pub problems: Vec<Problem>,
    /// What cannot be done natively.
    pub not_native: Vec<Problem>,
}

impl<'w, 'a> Resolver<'w, 'a> {
    pub(super) fn new(world: &'w mut World<'a>) -> Self {
        Self {
            world,
            switched: BTreeMap::new(),
            at_first_boot: false,
            coming: BTreeMap::new(),
            open: BTreeSet::new(),
            on_the_way: (Vec::new(), false),
            chosen: BTreeMap::new(),
            order: Vec::new(),
            goals: BTreeMap::new(),
            problems: Vec::new(),
            not_native: Vec::new(),
        }
    }

    /// What was chosen: those inside before those around them.
    pub(super) fn finish(mut self) -> (Vec<Chosen>, Vec<Problem>, Vec<Problem>) {
        let chosen = self.order.iter().filter_map(|id| self.chosen.remove(id)).collect();
        (chosen, self.problems, self.not_native)
    }

    /// A package that the recipe asks for, of the source. Nothing is chosen when the image has it, or a newer one.
    pub(super) fn root(&mut self, id: &str) -> Result<(), ServicingError> {
        let Some((_, mum)) = self.world.mum(id) else { return Ok(()) };
        let installed = self.world.installed.values().filter(|package| {
            package.state.is_installed() && same_but_version(&package.identity, &mum.identity)
        });
        if let Some(newest) = installed.max_by_key(|package| package.identity.version) {
            if newest.identity.version == mum.identity.version {
                // Windows applies it again: to languages and features that came after it.
                if self.at_first_boot && report::is_cumulative(&mum) {
                    self.not_native.extend(report::never_native(&mum, id));
                    return Ok(());
                }
                let cause = "the image has it already; nothing is done";
                self.problems.push(Problem::warning(id, cause, ""));
                return Ok(());
            }
            if newest.identity.version > mum.identity.version {
                let cause =
                    format!("the image has the newer {}; nothing is done", newest.identity.version);
                self.problems.push(Problem::warning(
                    id,
                    cause,
                    "take the entry out, or give the newer package",
                ));
                return Ok(());
            }
        }
        if let Visit::NotApplicable(missing) = self.visit(id, Goal::Installed, None, false, 0)? {
            let cause = format!(
                "it does not apply to this image, which does not have {missing} (0x800f081e)"
            );
            let help =
                "install what it needs first, or take a package made for this edition and version";
            self.missing(Problem::error(id, cause, help));
            return Ok(());
        }
        let nothing =
            self.chosen.get(&id.to_lowercase()).is_some_and(|root| root.updates.is_empty());
        if nothing && !mum.updates.is_empty() {
            let cause = "nothing in it applies to this image (0x800f081e)";
            let help = "take a package made for this edition and version";
            self.missing(Problem::error(id, cause, help));
        }
        Ok(())
    }

    /// A package of the image or the source, whatever its state: features switch in it.
    pub(super) fn again(&mut self, id: &str, goal: Goal) -> Result<(), ServicingError> {
        self.enter(id, goal, None, false, 0)
    }

    fn visit(
        &mut self,
        id: &str,
        goal: Goal,
        owner: Option<&str>,
        hidden: bool,
        depth: usize,
    ) -> Result<Visit, ServicingError> {
        let Some((origin, mum)) = self.world.mum(id) else {
            let item = owner.unwrap_or(id);
            let cause = format!(
                "it brings {id}, which is neither in the source nor in the image (0x800f0831, 0x800f081f)"
            );
            let help = "give the complete package; of a feature whose payload was removed, give the source in the recipe";
            self.problems.push(Problem::error(item, cause, help));
            return Ok(Visit::Taken);
        };
        let state = self.world.installed.get(&id.to_lowercase()).map(|package| package.state);
        let there = state.is_some_and(|state| match goal {
            // One that a newer version took over stays behind it.
            Goal::Installed => state.is_installed() || state == PackageState::Superseded,
            Goal::Staged => state.is_staged(),
        });
        if there && origin.is_none() {
            return Ok(Visit::Taken);
        }
        if goal == Goal::Installed
            && let Some(missing) = parents::missing_parent(&mum, self.world, &self.coming)
        {
            return Ok(Visit::NotApplicable(missing));
        }
        self.enter(id, goal, owner, hidden, depth)?;
        Ok(Visit::Taken)
    }

    /// Takes a package and goes on to what its updates bring.
    fn enter(
        &mut self,
        id: &str,
        goal: Goal,
        owner: Option<&str>,
        hidden: bool,
        depth: usize,
    ) -> Result<(), ServicingError> {
        let key = id.to_lowercase();
        if let Some(known) = self.chosen.get_mut(&key) {
            known.owners.extend(owner.map(str::to_owned));
            if known.goal >= goal {
                return Ok(());
            }
            known.goal = goal;
        }
        let Some((origin, mum)) = self.world.mum(id) else { return Ok(()) };
        if depth > DEEPEST {
            let cause = format!("packages are nested more than {DEEPEST} deep");
            self.problems.push(Problem::error(id, cause, "this is no sound package"));
            return Ok(());
        }
        self.judge(&mum, id, goal)?;
        let id =
            self.world.installed.get(&key).map_or_else(|| id.to_owned(), |known| known.id.clone());
        let chosen = Chosen {
            id: id.clone(),
            identity: mum.identity.clone(),
            mum: Arc::clone(&mum),
            origin,
            goal,
            hidden,
            owners: owner.map(str::to_owned).into_iter().collect(),
            updates: Vec::new(),
        };
        let first = !self.chosen.contains_key(&key);
        let chosen = match self.chosen.remove(&key) {
            Some(known) => Chosen { owners: known.owners, hidden: known.hidden, ..chosen },
            None => {
                let name = chosen.identity.name.to_lowercase();
                self.coming.entry(name).or_default().push(chosen.identity.clone());
                chosen
            }
        };
        self.chosen.insert(key.clone(), chosen);
        let mut updates = Vec::new();
        for update in &mum.updates {
            let Some(goal) = self.goal_of(&mum, &id, update, goal, 0)? else { continue };
            let mut taken = update.packages.is_empty();
            for inner in &update.packages {
                let hidden = inner.integrate.as_deref() != Some("visible");
                let inner = inner.identity.package_id();
                taken |= self.visit(&inner, goal, Some(&id), hidden, depth + 1)? == Visit::Taken;
            }
            if taken {
                updates.push(ChosenUpdate {
                    name: update.name.clone(),
                    goal,
                    deployments: update.components.clone(),
                    is_feature: update.selectable.is_some(),
                });
            }
        }
        if let Some(chosen) = self.chosen.get_mut(&key) {
            chosen.updates = updates;
        }
        if first {
            self.order.push(key);
        }
        Ok(())
    }

    /// As [`super::work::Findings::missing`].
    fn missing(&mut self, problem: Problem) {
        if self.world.late { &mut self.not_native } else { &mut self.problems }.push(problem);
    }

    fn judge(&mut self, mum: &Mum, id: &str, goal: Goal) -> Result<(), ServicingError> {
        self.problems.extend(parents::problems(mum, id, self.world));
        if let Some(problem) = parents::old_stack(mum, id, self.world)? {
            self.missing(problem);
        }
        if goal == Goal::Staged {
            return Ok(());
        }
        let unknown = classify::unknown_in_package(mum);
        self.not_native.extend(report::unknown_in_package(id, &unknown));
        self.not_native.extend(report::never_native(mum, id));
        Ok(())
    }

    /// How far an update goes when its package goes to `package`; `None`: it does not apply.
    fn goal_of(
        &mut self,
        mum: &Mum,
        id: &str,
        update: &Update,
        package: Goal,
        depth: usize,
    ) -> Result<Option<Goal>, ServicingError> {
        let key = (id.to_lowercase(), update.name.to_lowercase(), package);
        if let Some(known) = self.goals.get(&key) {
            self.on_the_way.1 |= self.open.contains(&key);
            return Ok(*known);
        }
        if depth > DEEPEST {
            return Ok(Some(Goal::Staged));
        }
        // Updates that wait for one another come to nothing.
        let guess = Some(Goal::Staged);
        self.goals.insert(key.clone(), guess);
        self.open.insert(key.clone());
        let goal = self.work_out(mum, id, update, package, depth)?;
        self.open.remove(&key);
        if depth > 0 {
            self.on_the_way.0.push(key.clone());
        } else {
            let (on_the_way, guessed) = std::mem::take(&mut self.on_the_way);
            if guessed && goal != guess {
                // What was worked out from the wrong guess has to be worked out again.
                for key in &on_the_way {
                    self.goals.remove(key);
                }
            }
        }
        self.goals.insert(key, goal);
        Ok(goal)
    }

    fn work_out(
        &mut self,
        mum: &Mum,
        id: &str,
        update: &Update,
        package: Goal,
        depth: usize,
    ) -> Result<Option<Goal>, ServicingError> {
        let mut goal = package;
        for condition in &update.applicable {
            for component in &condition.components {
                if !parents::elevates(component, self.world)? {
                    return Ok(None);
                }
            }
            for wanted in &condition.updates {
                if !self.is_on(mum, id, wanted, package, depth)? {
                    goal = Goal::Staged;
                }
            }
        }
        if let Some(selectable) = &update.selectable
            && goal == Goal::Installed
        {
            let on = match self.switched.get(&update.name.to_lowercase()) {
                Some(switched) => Some(*switched),
                None => features::is_on(mum, &update.name, self.world)?,
            };
            let on = match on {
                Some(on) => on,
                None => {
                    let mut detected = false;
                    for wanted in &selectable.detect {
                        detected |= self.is_on(mum, id, wanted, package, depth)?;
                    }
                    let usual = selectable.disposition.eq_ignore_ascii_case("installed");
                    detected || selectable.default.unwrap_or(usual)
                }
            };
            if !on {
                goal = Goal::Staged;
            }
        }
        Ok(Some(goal))
    }

    /// True when an update that another names is in force, or will be.
    fn is_on(
        &mut self,
        mum: &Mum,
        id: &str,
        wanted: &crate::format::cbs::mum::DetectUpdate,
        package: Goal,
        depth: usize,
    ) -> Result<bool, ServicingError> {
        let here =
            wanted.package.as_ref().is_none_or(|other| same_but_version(other, &mum.identity));
        let update =
            mum.updates.iter().find(|update| update.name.eq_ignore_ascii_case(&wanted.name));
        if let (true, Some(update)) = (here, update) {
            return Ok(self.goal_of(mum, id, update, package, depth + 1)? == Some(Goal::Installed));
        }
        if let Some(switched) = self.switched.get(&wanted.name.to_lowercase()) {
            return Ok(*switched);
        }
        // Another package's update: those of the image have to be looked through.
        self.world.read_mums()?;
        features::is_on_anywhere(&wanted.name, self.world)
    }
}
