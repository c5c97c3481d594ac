//! One image and one source while a step looks at them: parsed manifests, what is installed, where things are found. Read once, kept for the step.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use rayon::prelude::*;

use crate::{
    base::name::Name,
    format::cbs::{Identity, Manifest, Mum, Version},
    image::{Image, ImageFacts},
    servicing::error::{Problem, ServicingError},
};

use super::{
    inventory, layout,
    macros::Target,
    prepared::{PreparedFolder, PreparedPackage, PreparedPackages, PreparedPayload},
    store::{self, InstalledPackage, Manifests},
};

/// Where a package comes from: folder of the source and place in it; `None`: it is in the image alone.
pub(super) type Origin = Option<(usize, usize)>;

/// An image, a source, and what was read of both.
pub(super) struct World<'a> {
    /// The kind of operation, for messages.
    pub operation: &'static str,
    /// What the recipe calls it.
    pub name: &'a str,
    pub image: &'a mut Image,
    pub facts: ImageFacts,
    pub target: Target,
    /// What the image knows, by id in lower case; with mums once [`World::read_mums`] was called.
    pub installed: BTreeMap<String, InstalledPackage>,
    /// What the source holds.
    pub folders: Vec<SourceFolder<'a>>,
    /// True when earlier steps leave something to the first boot, and this one may be left to it too: what is missing here may be there by then.
    pub late: bool,
    /// Languages that are installed or come with this step, in lower case.
    pub languages: BTreeSet<String>,
    /// Reads manifests of the image.
    pub stored: Manifests,
    /// Manifests of the image by key form; `None` for those that are not there.
    manifests: BTreeMap<String, Option<Arc<Manifest>>>,
    /// Marks of deployments by short key form, as far as they were asked for.
    deployments: BTreeMap<String, bool>,
    /// The mums of all packages were read.
    has_mums: bool,
    /// The servicing stack's version, once it was looked for.
    stack: Option<Option<Version>>,
}

/// An expanded package of the source, parsed.
pub(super) struct SourceFolder<'a> {
    pub prepared: &'a PreparedFolder,
    /// As [`PreparedFolder::packages`].
    pub packages: Vec<Arc<Mum>>,
    /// By key form: place in [`PreparedFolder::manifests`], and the manifest.
    pub manifests: BTreeMap<&'a str, (usize, Arc<Manifest>)>,
    /// By key form, and path with backslashes in lower case.
    pub payload: BTreeMap<&'a str, BTreeMap<String, &'a PreparedPayload>>,
}

impl<'a> SourceFolder<'a> {
    fn parse(
        operation: &'static str,
        prepared: &'a PreparedFolder,
    ) -> Result<Self, ServicingError> {
        let damaged = |file: &str, error: crate::format::cbs::CbsError| {
            let item = format!("{}/{file}", prepared.shown);
            ServicingError::refused(operation, Problem::error(item, error.to_string(), ""))
        };
        let packages = prepared
            .packages
            .iter()
            .map(|package| {
                let mum = Mum::parse(package.mum.as_bytes());
                mum.map(Arc::new).map_err(|error| damaged(&package.file, error))
            })
            .collect::<Result<_, _>>()?;
        let parsed: Vec<_> = prepared
            .manifests
            .par_iter()
            .map(|manifest| {
                Manifest::parse(manifest.text.as_bytes())
                    .map(Arc::new)
                    .map_err(|error| damaged(&format!("{}.manifest", manifest.key_form), error))
            })
            .collect();
        let mut manifests = BTreeMap::new();
        for (at, (manifest, found)) in prepared.manifests.iter().zip(parsed).enumerate() {
            manifests.insert(manifest.key_form.as_str(), (at, found?));
        }
        let mut payload: BTreeMap<&str, BTreeMap<String, &PreparedPayload>> = BTreeMap::new();
        for file in &prepared.payload {
            let path = file.path.join("\\").to_lowercase();
            payload.entry(&file.key_form).or_default().insert(path, file);
        }
        Ok(Self { prepared, packages, manifests, payload })
    }

    /// The package with that id.
    pub(super) fn package(&self, id: &str) -> Option<(usize, &'a PreparedPackage)> {
        self.prepared
            .packages
            .iter()
            .enumerate()
            .find(|(_, package)| package.id.eq_ignore_ascii_case(id))
    }
}

impl<'a> World<'a> {
    /// Reads what every step needs.
    pub(super) fn open(
        operation: &'static str,
        name: &'a str,
        prepared: Option<&'a PreparedPackages>,
        image: &'a mut Image,
    ) -> Result<Self, ServicingError> {
        let facts = image.facts();
        let failed = |error| ServicingError::image(operation, name, error);
        let Some(target) = Target::of(image, &facts).map_err(failed)? else {
            let cause = "the image does not say for which architecture it is";
            let help = "packages go into a Windows image: name one in [base]";
            return Err(ServicingError::refused(operation, Problem::error(name, cause, help)));
        };
        for hive in [crate::image::HiveId::Software, crate::image::HiveId::Components] {
            if !image.has_hive(hive) {
                let cause = format!("the image has no {hive} hive: it has no component store");
                let help = "packages need an image that Windows can service: a captured or reduced one may have lost its store";
                return Err(ServicingError::refused(operation, Problem::error(name, cause, help)));
            }
        }
        // Mums are read when they are asked for: a real image has some thousand.
        let installed = store::package_keys(image)
            .map_err(failed)?
            .into_iter()
            .map(|package| (package.id.to_lowercase(), package))
            .collect();
        let folders = prepared
            .iter()
            .flat_map(|prepared| &prepared.folders)
            .map(|folder| SourceFolder::parse(operation, folder))
            .collect::<Result<_, _>>()?;
        let languages = facts.languages.iter().map(|tag| tag.to_lowercase()).collect();
        Ok(Self {
            operation,
            name,
            image,
            facts,
            target,
            installed,
            folders,
            late: false,
            languages,
            stored: Manifests::default(),
            manifests: BTreeMap::new(),
            deployments: BTreeMap::new(),
            has_mums: false,
            stack: None,
        })
    }

    /// A refusal.
    pub(super) fn refuse(
        &self,
        item: impl Into<String>,
        cause: impl Into<String>,
        help: impl Into<String>,
    ) -> ServicingError {
        ServicingError::refused(self.operation, Problem::error(item, cause, help))
    }

    /// An error of the image.
    pub(super) fn failed(&self, error: crate::image::ImageError) -> ServicingError {
        ServicingError::image(self.operation, self.name, error)
    }

    /// The mum of a package: of the source (folder, place), or of the image.
    pub(super) fn mum(&self, id: &str) -> Option<(Origin, Arc<Mum>)> {
        let in_source = self.folders.iter().enumerate().find_map(|(at, folder)| {
            let (place, _) = folder.package(id)?;
            Some((Some((at, place)), Arc::clone(&folder.packages[place])))
        });
        in_source.or_else(|| {
            let known = self.installed.get(&id.to_lowercase())?;
            let mum = match &known.mum {
                Some(mum) => mum.clone(),
                None => store::mum(self.image, &known.id).ok()??,
            };
            Some((None, Arc::new(mum)))
        })
    }

    /// Reads the mums of all packages of the image, once.
    pub(super) fn read_mums(&mut self) -> Result<(), ServicingError> {
        if std::mem::replace(&mut self.has_mums, true) {
            return Ok(());
        }
        let all = store::packages(self.image).map_err(|error| self.failed(error))?;
        self.installed =
            all.into_iter().map(|package| (package.id.to_lowercase(), package)).collect();
        Ok(())
    }

    /// The version of the image's servicing stack; `None` when it does not say.
    pub(super) fn stack_version(&mut self) -> Result<Option<Version>, ServicingError> {
        if let Some(known) = self.stack {
            return Ok(known);
        }
        let found = inventory::servicing_stack(self.image).map_err(|error| self.failed(error))?;
        let version = found.map(|stack| stack.version);
        self.stack = Some(version);
        Ok(version)
    }

    /// Work in the image that waits for Windows to start; such an image must not be serviced before.
    pub(super) fn pending(&mut self) -> Result<Option<Problem>, ServicingError> {
        let packages: Vec<InstalledPackage> = self.installed.values().cloned().collect();
        let found =
            inventory::pending(&packages, self.image).map_err(|error| self.failed(error))?;
        Ok(found.first().map(|work| {
            let cause = format!("the image waits for a start of Windows: {} ({})", work.place, work.what);
            let help = "start and shut down that Windows once and capture it again, or service an image as it came";
            Problem::error(self.name, cause, help)
        }))
    }

    /// The manifest with that key form: of the image, else of the source.
    pub(super) fn manifest(
        &mut self,
        key_form: &str,
    ) -> Result<Option<Arc<Manifest>>, ServicingError> {
        if let Some(found) = self.source_manifest(key_form) {
            return Ok(Some(found));
        }
        self.image_manifest(key_form)
    }

    fn source_manifest(&self, key_form: &str) -> Option<Arc<Manifest>> {
        let found = self.folders.iter().find_map(|folder| folder.manifests.get(key_form));
        found.map(|(_, manifest)| Arc::clone(manifest))
    }

    /// The manifest with that key form in the image.
    pub(super) fn image_manifest(
        &mut self,
        key_form: &str,
    ) -> Result<Option<Arc<Manifest>>, ServicingError> {
        if let Some(known) = self.manifests.get(key_form) {
            return Ok(known.clone());
        }
        let bytes = self.stored.read(self.image, key_form);
        let bytes = bytes.map_err(|error| self.failed(error))?;
        let found = match bytes {
            None => None,
            Some(bytes) => match Manifest::parse(&bytes) {
                Ok(manifest) => Some(Arc::new(manifest)),
                Err(error) => {
                    let item = layout::manifest(self.image, key_form).to_string();
                    let cause = format!("{error}: the component store is damaged (0x80073712)");
                    return Err(self.refuse(
                        item,
                        cause,
                        "`transom verify` says what else is, and can repair it",
                    ));
                }
            },
        };
        self.manifests.insert(key_form.to_owned(), found.clone());
        Ok(found)
    }

    /// True when the image has the manifest.
    pub(super) fn image_has(&self, key_form: &str) -> bool {
        self.image.tree().lookup(&layout::manifest(self.image, key_form)).is_some()
    }

    /// The key form of the assembly that a dependency names; `None` when it is nowhere. Dependencies may leave out `versionScope`.
    pub(super) fn find(&self, identity: &Identity) -> Option<String> {
        let with = |scope: Option<&str>| Identity {
            version_scope: scope.map(str::to_owned).or_else(|| identity.version_scope.clone()),
            ..identity.clone()
        };
        let mut forms = vec![identity.key_form()];
        if identity.version_scope.is_none() {
            forms.push(with(Some("NonSxS")).key_form());
        }
        forms.into_iter().find(|form| {
            self.folders.iter().any(|folder| folder.manifests.contains_key(form.as_str()))
                || self.image_has(form)
        })
    }

    /// Key forms of the components that a deployment consists of, itself not among them, sorted.
    pub(super) fn components_of(
        &mut self,
        deployment: &str,
        package: &str,
    ) -> Result<Vec<String>, ServicingError> {
        let mut found = BTreeSet::new();
        let mut queue = vec![deployment.to_owned()];
        while let Some(form) = queue.pop() {
            let Some(manifest) = self.manifest(&form)? else { continue };
            for dependency in &manifest.dependencies {
                let install = dependency.kind.eq_ignore_ascii_case("install");
                let any_language = dependency.identity.language == "*";
                if !install && !any_language {
                    continue;
                }
                let next: Vec<String> = if any_language {
                    let languages = self.languages.iter();
                    languages
                        .filter_map(|language| {
                            self.find(&Identity {
                                language: language.clone(),
                                ..dependency.identity.clone()
                            })
                        })
                        .collect()
                } else if let Some(found) = self.find(&dependency.identity) {
                    vec![found]
                } else if dependency.optional {
                    Vec::new()
                } else {
                    let name = &dependency.identity.name;
                    let version = dependency.identity.version;
                    let cause = format!(
                        "{form} needs the component {name} {version}, which is neither in the source nor in the image (0x80073701)"
                    );
                    return Err(self.refuse(package, cause, "get the complete package; the image's own store may be damaged: `transom verify` says so"));
                };
                queue.extend(next.into_iter().filter(|form| found.insert(form.clone())));
            }
        }
        found.remove(deployment);
        Ok(found.into_iter().collect())
    }

    /// True when a deployment of the image (by short key form) is installed: one package at least marks it so.
    pub(super) fn deployment_is_installed(&mut self, short: &str) -> Result<bool, ServicingError> {
        if let Some(known) = self.deployments.get(short) {
            return Ok(*known);
        }
        let key = layout::deployments().join(&Name::from(short));
        let values = self.image.registry_values(&key).map_err(|error| self.failed(error))?;
        let installed = values.iter().any(|value| starts_with(&value.name, "i!"));
        self.deployments.insert(short.to_owned(), installed);
        Ok(installed)
    }

    /// Short key forms of the image's deployments that the component belongs to.
    pub(super) fn deployments_of(
        &mut self,
        component: &str,
    ) -> Result<Vec<String>, ServicingError> {
        let key = layout::components().join(&Name::from(component));
        let values = self.image.registry_values(&key).map_err(|error| self.failed(error))?;
        let marks = values.iter().filter_map(|value| value.name.to_text());
        Ok(marks
            .filter_map(|name| {
                let prefix = name.get(..2)?;
                prefix.eq_ignore_ascii_case("c!").then(|| name[2..].to_owned())
            })
            .collect())
    }

    /// True when an update of a package has the component staged or in force, those of `but` (as `layout::reference` has them) left out.
    pub(super) fn is_held(
        &mut self,
        component: &str,
        but: &BTreeSet<String>,
    ) -> Result<bool, ServicingError> {
        for short in self.deployments_of(component)? {
            let key = layout::deployments().join(&Name::from(short.as_str()));
            let values = self.image.registry_values(&key).map_err(|error| self.failed(error))?;
            let held = values.iter().filter_map(|value| value.name.to_text()).any(|name| {
                let name = name.to_lowercase();
                let reference = name.strip_prefix("s!").or_else(|| name.strip_prefix("i!"));
                reference.is_some_and(|reference| !but.contains(reference))
            });
            if held {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// True when the component belongs to a deployment that is installed, those of `but` left out.
    pub(super) fn component_is_installed(
        &mut self,
        component: &str,
        but: &BTreeSet<String>,
    ) -> Result<bool, ServicingError> {
        for short in self.deployments_of(component)? {
            if !but.contains(&short) && self.deployment_is_installed(&short)? {
                return Ok(true);
            }
        }
        Ok(false)
    }
}

/// True when the name begins with `prefix`, in whatever case.
pub(super) fn starts_with(name: &Name, prefix: &str) -> bool {
    let prefix = Name::from(prefix);
    let head = name.units().get(..prefix.units().len());
    head.is_some_and(|head| Name::from_units(head.to_vec()).eq_ignore_case(&prefix))
}
