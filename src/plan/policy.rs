//! Rules of `[policy]` that the recipe itself breaks: known before anything is done. Everything else is known of the finished image alone.

use super::model::Step;
use crate::{
    recipe::{Finding, Origin, PolicySection},
    servicing::{
        Operation,
        appx::AppxAction,
        cbs::{FeatureState, PackageAction, PackageSubject},
        policy::{Area, ItemRule, Rule, Wanted, is_meant},
    },
};

/// The findings for steps that break a rule; each once, though several images have the step.
#[must_use]
pub fn broken_by_steps<'a>(
    policy: &PolicySection,
    steps: impl Iterator<Item = &'a Step>,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    for step in steps {
        for finding in broken_by(policy, &step.operation, &step.origin, step.deferred) {
            if !findings.contains(&finding) {
                findings.push(finding);
            }
        }
    }
    findings
}

/// The findings for one entry of a recipe, which stands at `origin`; `is_deferred`: it is known to leave something to the first boot.
#[must_use]
pub fn broken_by(
    policy: &PolicySection,
    operation: &Operation,
    origin: &Origin,
    is_deferred: bool,
) -> Vec<Finding> {
    let mut findings = Vec::new();
    let spec = &policy.spec;
    if spec.no_deferred && (is_deferred || matches!(operation, Operation::FirstBoot(_))) {
        let what = "this is left to the first boot, and the policy wants nothing left to it";
        let help = "take the entry out, give it another source that can be installed natively, or take `no-deferred` away";
        findings.push(finding(policy, &Rule::NoDeferred, origin, what.to_owned(), help));
    }
    let Some(asked) = Asked::of(operation) else { return findings };
    for item in spec.items.iter().filter(|item| item.area == asked.area) {
        if !asked.contradicts(item) {
            continue;
        }
        let rule = Rule::Item(item.area, item.pattern.clone());
        let what = format!(
            "the recipe wants {} {}, and its policy says {}",
            asked.name,
            asked.state,
            item.wanted.name()
        );
        let help = "the policy and the entry exclude each other: take one of them away";
        findings.push(finding(policy, &rule, origin, what, help));
    }
    findings
}

fn finding(
    policy: &PolicySection,
    rule: &Rule,
    origin: &Origin,
    message: String,
    help: &str,
) -> Finding {
    let code = format!("policy::{}", rule.code());
    // The rule may stand far away, in the recipe of a whole company.
    let label = match policy.origins.get(rule) {
        Some(place) => format!("this breaks the rule at {place}"),
        None => "this breaks a rule".to_owned(),
    };
    Finding::at(origin, code, message, label, help)
}

/// What an entry asks for, in the words of rules.
struct Asked<'a> {
    area: Area,
    name: &'a str,
    state: &'static str,
    /// It will be in force, unless it is left to the first boot; `None` when that is not what is asked.
    present: Option<bool>,
}

impl<'a> Asked<'a> {
    fn of(operation: &'a Operation) -> Option<Self> {
        let words = |present| if present { "installed" } else { "absent" };
        Some(match operation {
            Operation::Feature(spec) => Self {
                area: Area::Features,
                name: &spec.name,
                state: match spec.state {
                    FeatureState::Enabled => "enabled",
                    FeatureState::Disabled => "disabled",
                    FeatureState::Removed => "removed",
                },
                present: Some(spec.state == FeatureState::Enabled),
            },
            Operation::Package(spec) => {
                let present = matches!(spec.action, PackageAction::Present { .. });
                let (area, name) = match (&spec.subject, &spec.action) {
                    (PackageSubject::Language(tag), _) => (Area::Languages, tag.as_str()),
                    (PackageSubject::Capability(id), _) => (Area::Capabilities, id.as_str()),
                    // What a package to install is called stands in the package, not in the recipe.
                    (_, PackageAction::Absent { identity: Some(identity), .. }) => {
                        (Area::Packages, identity.as_str())
                    }
                    _ => return None,
                };
                Self { area, name, state: words(present), present: Some(present) }
            }
            Operation::Appx(spec) => match spec.action {
                AppxAction::Absent { .. } => Self {
                    area: Area::Apps,
                    name: &spec.name,
                    state: "absent",
                    present: Some(false),
                },
                AppxAction::Present { .. } => return None,
            },
            Operation::Service(spec) => Self {
                area: Area::Services,
                name: &spec.name,
                state: spec.start?.name(),
                present: None,
            },
            _ => return None,
        })
    }

    /// True when what is asked for breaks the rule, whatever the image is. A pattern that means several things may still be kept by another one.
    fn contradicts(&self, item: &ItemRule) -> bool {
        let is_one = !item.pattern.contains(['*', '?']);
        let same = match self.area {
            Area::Packages | Area::Capabilities => {
                is_meant(&item.pattern, self.name)
                    || self
                        .name
                        .split_once('~')
                        .is_some_and(|(name, _)| is_meant(&item.pattern, name))
            }
            _ => is_meant(&item.pattern, self.name),
        };
        same && match (item.wanted, self.present) {
            (Wanted::Forbidden, Some(present)) => present,
            (Wanted::Required, Some(present)) => !present && is_one,
            (Wanted::Start(mode), None) => mode.name() != self.state,
            (Wanted::Required | Wanted::Forbidden, None) | (Wanted::Start(_), Some(_)) => false,
        }
    }
}
