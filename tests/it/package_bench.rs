//! An image that the tests put packages into: steps done as a build does them, values and files looked up.

use std::sync::Arc;

use transom::{
    base::name::Name,
    format::hive::Value,
    image::{HiveId, Image, NodeId, RegistryPath, Watch},
    servicing::{
        InputId, Operation, Prepared, Problem, ServicingError, WhenNotNative,
        cbs::{
            FeatureSpec, FeatureState, PackageAction, PackageSpec, PackageSubject, health,
            inventory, store,
        },
        drivers::database::{KeyTree, read},
    },
};

use crate::{
    image_fixture::{MemoryInputs, MemoryStore, path},
    package_fixture::{Package, image},
    support,
};

/// An image and a store.
pub(crate) struct Bench {
    pub(crate) image: Image,
    pub(crate) store: Arc<MemoryStore>,
    pub(crate) folder: tempfile::TempDir,
}

impl Bench {
    pub(crate) fn new() -> Self {
        let folder = support::temporary_folder();
        let store = Arc::new(MemoryStore::default());
        let image = image(folder.path(), &store);
        Self { image, store, folder }
    }

    pub(crate) fn prepare(
        &self,
        operation: &Operation,
        inputs: &MemoryInputs,
    ) -> Result<Prepared, ServicingError> {
        let prepared = operation.prepare(inputs, self.store.as_ref())?;
        let text = serde_json::to_vec(&prepared).unwrap();
        Ok(serde_json::from_slice(&text).unwrap())
    }

    /// Applies and gives the number of changes. What `check` says must be what `apply` does.
    pub(crate) fn run(
        &mut self,
        operation: &Operation,
        inputs: &MemoryInputs,
    ) -> Result<usize, ServicingError> {
        let prepared = self.prepare(operation, inputs)?;
        let facts = self.image.facts();
        let mut problems = operation.check_image(&mut self.image, &facts);
        problems.extend(operation.check_prepared(&prepared, &mut self.image, &facts));
        let refused = problems.iter().any(|problem| !problem.warning);
        self.image.begin_step();
        let done = operation.apply(&prepared, &mut self.image);
        let changes = self.image.end_step();
        assert_eq!(done.is_err(), refused, "{problems:?}");
        done?;
        Ok(changes.0.len())
    }

    pub(crate) fn done(&mut self, operation: &Operation, inputs: &MemoryInputs) -> usize {
        self.run(operation, inputs).unwrap()
    }

    /// What is said at plan time.
    pub(crate) fn problems(
        &mut self,
        operation: &Operation,
        inputs: &MemoryInputs,
    ) -> Vec<Problem> {
        let facts = self.image.facts();
        let mut problems = operation.check_image(&mut self.image, &facts);
        match self.prepare(operation, inputs) {
            Ok(prepared) => {
                problems.extend(operation.check_prepared(&prepared, &mut self.image, &facts));
            }
            Err(error) => problems.push(error.into_problem()),
        }
        problems
    }

    /// The one error, its cause and help as a text.
    pub(crate) fn refused(&mut self, operation: &Operation, inputs: &MemoryInputs) -> String {
        let problems = self.problems(operation, inputs);
        let errors: Vec<&Problem> = problems.iter().filter(|problem| !problem.warning).collect();
        assert!(!errors.is_empty(), "{problems:?}");
        errors
            .iter()
            .map(|problem| format!("{}: {}; {}", problem.item, problem.cause, problem.help))
            .collect::<Vec<_>>()
            .join("\n")
    }

    pub(crate) fn value(&mut self, key: &str, name: &str) -> Option<Value> {
        let key = RegistryPath::parse(key).unwrap();
        self.image.registry_value(&key, &Name::from(name)).unwrap()
    }

    pub(crate) fn text(&mut self, key: &str, name: &str) -> Option<String> {
        self.value(key, name).and_then(|value| value.as_text())
    }

    pub(crate) fn number(&mut self, key: &str, name: &str) -> Option<u32> {
        self.value(key, name).and_then(|value| value.as_dword())
    }

    pub(crate) fn has(&self, place: &str) -> bool {
        self.image.tree().lookup(&path(place)).is_some()
    }

    pub(crate) fn content(&self, place: &str) -> String {
        String::from_utf8(self.image.read(&path(place)).unwrap()).unwrap()
    }

    pub(crate) fn state_of(&mut self, package: &Package) -> Option<u32> {
        self.number(&format!(r"{CBS}\Packages\{}", package.id()), "CurrentState")
    }

    /// What the store's health says, and nothing when it is sound.
    pub(crate) fn damage(&mut self) -> Vec<String> {
        let report = health::check(&mut self.image, Watch::default()).unwrap();
        report.damage().map(|finding| format!("{finding:?}")).collect()
    }

    /// The features as the inventory lists them: name and status.
    pub(crate) fn features(&mut self) -> Vec<String> {
        let packages = store::packages(&mut self.image).unwrap();
        let features = inventory::features(&packages, &mut self.image).unwrap();
        features
            .iter()
            .map(|feature| format!("{} {}", feature.name, feature.status.name()))
            .collect()
    }

    /// The capabilities as the inventory lists them: name and status.
    pub(crate) fn capabilities(&mut self) -> Vec<String> {
        let packages = store::packages(&mut self.image).unwrap();
        let found = inventory::capabilities(&packages, &mut self.image).unwrap();
        found.iter().map(|found| format!("{} {}", found.id, found.status.name())).collect()
    }

    /// Every file with its attributes, security and content, hives left out, and every key of the hives.
    pub(crate) fn state(&mut self) -> (Vec<String>, Vec<Option<KeyTree>>) {
        let tree = self.image.tree();
        let shown = |id: NodeId| {
            let inode = tree.inode(id);
            let security = tree.security_of(id).map(<[u8]>::to_vec);
            let links = tree.links(id);
            format!(
                "{} {:x} {} {links} {security:?}",
                tree.path_of(id),
                inode.attributes,
                inode.data().sha1
            )
        };
        let mut files: Vec<String> =
            tree.walk().map(shown).filter(|line| !line.contains(r"\config\")).collect();
        files.sort();
        let hives =
            [HiveId::System, HiveId::Software, HiveId::Components, HiveId::NtUser, HiveId::Default];
        let keys = hives
            .map(|hive| read(&mut self.image, &RegistryPath::from_keys(hive, Vec::new())).unwrap());
        (files, keys.to_vec())
    }
}

pub(crate) const CBS: &str =
    r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Component Based Servicing";
pub(crate) const WINNERS: &str =
    r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\SideBySide\Winners";

pub(crate) fn present(subject: PackageSubject, source: Option<&str>) -> Operation {
    Operation::Package(PackageSpec {
        subject,
        action: PackageAction::Present {
            source: source.map(|source| InputId(source.to_owned())),
            allow_unsigned: true,
            when_not_native: WhenNotNative::Refuse,
        },
    })
}

pub(crate) fn package(name: &str) -> Operation {
    present(PackageSubject::Package(name.to_owned()), Some(name))
}

pub(crate) fn absent(subject: PackageSubject, identity: Option<&str>) -> Operation {
    Operation::Package(PackageSpec {
        subject,
        action: PackageAction::Absent {
            identity: identity.map(str::to_owned),
            when_not_native: WhenNotNative::Refuse,
        },
    })
}

pub(crate) fn no_package(id: &str) -> Operation {
    absent(PackageSubject::Package("gone".to_owned()), Some(id))
}

pub(crate) fn feature(
    name: &str,
    state: FeatureState,
    all: bool,
    source: Option<&str>,
) -> Operation {
    Operation::Feature(FeatureSpec {
        name: name.to_owned(),
        state,
        all,
        source: source.map(|source| InputId(source.to_owned())),
        allow_unsigned: true,
        when_not_native: WhenNotNative::Refuse,
    })
}
