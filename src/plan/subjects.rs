//! What an operation is to the graph: its phase, and what it writes.

use super::{
    graph::{Subject, Vertex},
    order::Phase,
};
use crate::{
    base::name::Name,
    servicing::{
        Operation,
        cbs::{PackageSubject, relations::PackagePhase},
        registry::KeyAction,
    },
};

/// The phase of the order table that a place in servicing is.
#[must_use]
pub fn phase(place: PackagePhase) -> Phase {
    match place {
        PackagePhase::ServicingStack => Phase::ServicingStack,
        PackagePhase::Language => Phase::Languages,
        PackagePhase::LanguageFeature => Phase::LanguageFeatures,
        PackagePhase::Capability => Phase::Capabilities,
        PackagePhase::Feature => Phase::Features,
        PackagePhase::Update => Phase::Packages,
        PackagePhase::CumulativeUpdate => Phase::CumulativeUpdate,
        PackagePhase::Enablement => Phase::Enablement,
        PackagePhase::NetFx3 => Phase::NetFx3,
        PackagePhase::DotNetUpdate => Phase::DotNetUpdate,
    }
}

/// The vertex of `operation`.
#[must_use]
pub fn vertex(operation: &Operation) -> Vertex {
    let subject = |kind: &str, names: &[Name], whole| {
        let names = names.iter().map(|name| name.to_upcase().to_string());
        Subject { path: std::iter::once(kind.to_owned()).chain(names).collect(), whole }
    };
    let (phase, subject) = match operation {
        // What the packages themselves say moves these: see `packages`.
        Operation::Package(spec) => {
            let phase = match &spec.subject {
                PackageSubject::Package(_) => Phase::Packages,
                PackageSubject::Language(_) => Phase::Languages,
                PackageSubject::Capability(_) => Phase::Capabilities,
            };
            (phase, subject(spec.kind(), &[Name::from(spec.name())], false))
        }
        Operation::Feature(spec) => {
            (Phase::Features, subject("feature", &[Name::from(spec.name.as_str())], false))
        }
        Operation::Driver(spec) => {
            (Phase::Drivers, subject("driver", &[Name::from(spec.name.as_str())], false))
        }
        Operation::Service(spec) => {
            (Phase::Services, subject("service", &[Name::from(spec.name.as_str())], false))
        }
        Operation::RegistryKey(spec) => {
            let set = spec.path.in_current_control_set().then(|| Name::from("CurrentControlSet"));
            let names: Vec<Name> =
                set.into_iter().chain(spec.path.keys().iter().cloned()).collect();
            let mut subject = subject("registry", &names, matches!(spec.action, KeyAction::Absent));
            subject.path.insert(1, spec.path.hive().to_string());
            (Phase::Registry, subject)
        }
        // What is in the file is known only when it is read: it may write any key.
        Operation::RegistryFile(_) => (Phase::Registry, subject("registry", &[], true)),
        Operation::Files(spec) => (Phase::Files, subject("file", spec.to.names(), true)),
        Operation::Locale(_) => (Phase::Locale, subject("locale", &[], true)),
        Operation::Appx(spec) => {
            (Phase::Appx, subject("app", &[Name::from(spec.name.as_str())], false))
        }
        Operation::Defaults(_) => (Phase::Locale, subject("defaults", &[], true)),
        Operation::WinPe(_) => (Phase::Locale, subject("winpe", &[], true)),
        Operation::WinRe(_) => (Phase::Setup, subject("winre", &[], true)),
        Operation::Unattend(_) => (Phase::Setup, subject("answer file", &[], true)),
        Operation::FirstBoot(_) => (Phase::Setup, subject("first boot", &[], true)),
    };
    Vertex { phase, subjects: vec![subject], requires: Vec::new() }
}
