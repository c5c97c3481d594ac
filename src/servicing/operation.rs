//! The closed set of operations.

use crate::image::{Changeset, Image, ImageFacts};

use super::{
    appx, cbs, defaults, drivers,
    error::{Problem, ServicingError},
    files, first_boot,
    inputs::{BlobSink, InputId, Inputs},
    locale, registry, services, unattend, winpe, winre,
};

/// One step of a build.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Operation {
    /// Packages, languages, capabilities.
    Package(cbs::PackageSpec),
    /// A feature.
    Feature(cbs::FeatureSpec),
    /// Driver packages.
    Driver(drivers::DriverSpec),
    /// Languages, formats, keyboards and the time zone.
    Locale(locale::LocaleSpec),
    /// Provisioned apps.
    Appx(appx::AppxSpec),
    /// Defaults for new users and the machine: file associations, OEM information.
    Defaults(defaults::DefaultsSpec),
    /// Settings of a Windows PE image.
    WinPe(winpe::WinPeSpec),
    /// The recovery image inside the image.
    WinRe(winre::WinReSpec),
    /// A registry key: its values, or its absence.
    RegistryKey(registry::KeySpec),
    /// A `.reg` file.
    RegistryFile(registry::FileSpec),
    /// How a service starts.
    Service(services::ServiceSpec),
    /// A file or folder.
    Files(files::FilesSpec),
    /// The answer file.
    Unattend(unattend::UnattendSpec),
    /// Scripts for the first boot.
    FirstBoot(first_boot::FirstBootSpec),
}

/// What `prepare` made of the inputs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Prepared {
    /// The operation has no inputs.
    Nothing,
    /// Packages whose payload is in the store.
    Packages(cbs::PreparedPackages),
    /// A driver source whose files are in the store.
    Driver(drivers::PreparedDriver),
    /// Languages, formats, keyboards and the time zone.
    Locale(locale::PreparedLocale),
    /// Provisioned apps.
    Appx(appx::PreparedAppx),
    /// Defaults for new users and the machine: file associations, OEM information.
    Defaults(defaults::PreparedDefaults),
    /// Settings of a Windows PE image.
    WinPe(winpe::PreparedWinPe),
    /// The recovery image inside the image.
    WinRe(winre::PreparedWinRe),
    /// The entries of a `.reg` file.
    RegistryFile(registry::PreparedFile),
    /// Files and folders whose content is in the store.
    Files(files::PreparedFiles),
    /// A checked answer file.
    Unattend(unattend::PreparedUnattend),
    /// Scripts whose content is in the store.
    FirstBoot(first_boot::PreparedFirstBoot),
}

impl Operation {
    /// The kind of operation: `registry`, `service` ...
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::Package(spec) => spec.kind(),
            Self::Feature(_) => "feature",
            Self::Driver(_) => "driver",
            Self::Locale(_) => "locale",
            Self::Appx(_) => "appx",
            Self::Defaults(_) => "defaults",
            Self::WinPe(_) => "winpe",
            Self::WinRe(_) => "winre",
            Self::RegistryKey(_) => "registry",
            Self::RegistryFile(_) => "registry-file",
            Self::Service(_) => "service",
            Self::Files(_) => "files",
            Self::Unattend(_) => "unattend",
            Self::FirstBoot(_) => "first-boot",
        }
    }

    /// Version of what the kind does to an image; part of every key, raised when the same parameters give another result.
    #[must_use]
    pub fn version(&self) -> u32 {
        match self {
            Self::RegistryKey(_) | Self::RegistryFile(_) | Self::Service(_) => 1,
            // 2: the bias of another zone does not stay in force.
            Self::Locale(_) => 2,
            // 2: a file of the component store loses the name that is written over, and is not changed itself.
            Self::Appx(_) | Self::Defaults(_) | Self::WinPe(_) | Self::WinRe(_) => 2,
            // Raise it too when other authorities are known: what a catalog is worth is part of what was prepared.
            // Packages and features, 2: what needs something that waits for the first boot waits behind it.
            // 3: the file is prepared as it was given.
            Self::Unattend(_) => 3,
            // 3: the first boot leaves a status, which a driver or a file over its command file may change.
            // Packages and features, 3: keys and folders that others name stay; a catalog that cannot be read is none.
            // All of them, 4: what waits for a restart is told from what failed, and a task goes on with it. Packages and features too: keys and folders of the base stay.
            Self::Driver(_) | Self::FirstBoot(_) | Self::Package(_) | Self::Feature(_) => 4,
            // 4: a file of the component store loses the name that is written over, and is not changed itself.
            // 5: nor by attributes or security alone.
            Self::Files(_) => 5,
        }
    }

    /// True when the plan does it to an image that it throws away, because what later steps find depends on it.
    #[must_use]
    pub fn is_rehearsed(&self) -> bool {
        matches!(self, Self::Package(_) | Self::Feature(_))
    }

    /// What it brings and needs, where that orders it among others; `None` for what the order table alone orders.
    #[must_use]
    pub fn relations(&self, prepared: &Prepared) -> Option<cbs::Relations> {
        let packages = match prepared {
            Prepared::Packages(packages) => Some(packages),
            _ => None,
        };
        match self {
            Self::Package(spec) => Some(spec.relations(packages)),
            Self::Feature(spec) => Some(spec.relations(packages)),
            _ => None,
        }
    }

    /// True when these changes, which the operation made, leave something to the first boot.
    #[must_use]
    pub fn is_deferred(changes: &Changeset) -> bool {
        first_boot::adds_scripts(changes)
    }

    /// True when it leaves something to the first boot of this image, of what a plan does not try ([`Operation::is_rehearsed`]): drivers and apps.
    pub fn leaves_to_first_boot(
        &self,
        prepared: &Prepared,
        image: &mut Image,
        facts: &ImageFacts,
    ) -> bool {
        match (self, prepared) {
            (Self::Driver(spec), Prepared::Driver(prepared)) => {
                spec.leaves_to_first_boot(prepared, image, facts)
            }
            (Self::Appx(spec), Prepared::Appx(prepared)) => spec.waits(prepared, image),
            _ => false,
        }
    }

    /// What it does, for a person: `service RemoteRegistry: disabled`.
    #[must_use]
    pub fn title(&self) -> String {
        match self {
            Self::Package(spec) => spec.title(),
            Self::Feature(spec) => spec.title(),
            Self::Driver(spec) => spec.title(),
            Self::Locale(spec) => spec.title(),
            Self::Appx(spec) => spec.title(),
            Self::Defaults(spec) => spec.title(),
            Self::WinPe(spec) => spec.title(),
            Self::WinRe(spec) => spec.title(),
            Self::RegistryKey(spec) => spec.title(),
            Self::RegistryFile(spec) => format!("registry from {}", spec.input),
            Self::Service(spec) => spec.title(),
            Self::Files(spec) => spec.title(),
            Self::Unattend(spec) => spec.title(),
            Self::FirstBoot(spec) => spec.title(),
        }
    }

    /// Its parameters as canonical bytes, for keys.
    #[must_use]
    pub fn parameters(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("names, numbers and texts always serialise")
    }

    /// The inputs it reads.
    #[must_use]
    pub fn inputs(&self) -> Vec<InputId> {
        match self {
            Self::RegistryKey(_) | Self::Service(_) => Vec::new(),
            Self::Package(spec) => spec.inputs(),
            Self::Feature(spec) => spec.inputs(),
            Self::Driver(spec) => spec.inputs(),
            Self::Locale(spec) => spec.inputs(),
            Self::Appx(spec) => spec.inputs(),
            Self::Defaults(spec) => spec.inputs(),
            Self::WinPe(spec) => spec.inputs(),
            Self::WinRe(spec) => spec.inputs(),
            Self::RegistryFile(spec) => vec![spec.input.clone()],
            Self::Files(spec) => match &spec.action {
                files::FilesAction::From { input, .. } => vec![input.clone()],
                files::FilesAction::Absent | files::FilesAction::Adjust => Vec::new(),
            },
            Self::Unattend(spec) => spec.input.iter().cloned().collect(),
            Self::FirstBoot(spec) => spec.inputs(),
        }
    }

    /// The part that needs the inputs alone.
    ///
    /// # Errors
    /// When an input cannot be read or is not what it should be.
    pub fn prepare(
        &self,
        inputs: &dyn Inputs,
        blobs: &dyn BlobSink,
    ) -> Result<Prepared, ServicingError> {
        Ok(match self {
            Self::RegistryKey(_) | Self::Service(_) => Prepared::Nothing,
            Self::Package(spec) => {
                spec.prepare(inputs, blobs)?.map_or(Prepared::Nothing, Prepared::Packages)
            }
            Self::Feature(spec) => {
                spec.prepare(inputs, blobs)?.map_or(Prepared::Nothing, Prepared::Packages)
            }
            Self::Driver(spec) => {
                spec.prepare(inputs, blobs)?.map_or(Prepared::Nothing, Prepared::Driver)
            }
            Self::Locale(spec) => {
                spec.prepare(inputs, blobs)?.map_or(Prepared::Nothing, Prepared::Locale)
            }
            Self::Appx(spec) => {
                spec.prepare(inputs, blobs)?.map_or(Prepared::Nothing, Prepared::Appx)
            }
            Self::Defaults(spec) => {
                spec.prepare(inputs, blobs)?.map_or(Prepared::Nothing, Prepared::Defaults)
            }
            Self::WinPe(spec) => {
                spec.prepare(inputs, blobs)?.map_or(Prepared::Nothing, Prepared::WinPe)
            }
            // A build does it: see `winre`.
            Self::WinRe(_) => Prepared::Nothing,
            Self::RegistryFile(spec) => Prepared::RegistryFile(spec.prepare(inputs)?),
            Self::Files(spec) => Prepared::Files(spec.prepare(inputs, blobs)?),
            Self::Unattend(spec) => Prepared::Unattend(spec.prepare(inputs, blobs)?),
            Self::FirstBoot(spec) => Prepared::FirstBoot(spec.prepare(inputs, blobs)?),
        })
    }

    /// The part that needs the image.
    ///
    /// # Errors
    /// When it cannot be done to this image.
    pub fn apply(&self, prepared: &Prepared, image: &mut Image) -> Result<(), ServicingError> {
        match (self, prepared) {
            (Self::Package(spec), Prepared::Packages(prepared)) => {
                spec.apply(Some(prepared), image)
            }
            (Self::Package(spec), Prepared::Nothing) if spec.inputs().is_empty() => {
                spec.apply(None, image)
            }
            (Self::Feature(spec), Prepared::Packages(prepared)) => {
                spec.apply(Some(prepared), image)
            }
            (Self::Feature(spec), Prepared::Nothing) if spec.inputs().is_empty() => {
                spec.apply(None, image)
            }
            (Self::Driver(spec), Prepared::Driver(prepared)) => spec.apply(Some(prepared), image),
            (Self::Driver(spec), Prepared::Nothing) if spec.inputs().is_empty() => {
                spec.apply(None, image)
            }
            (Self::Locale(spec), Prepared::Locale(prepared)) => spec.apply(Some(prepared), image),
            (Self::Locale(spec), Prepared::Nothing) => spec.apply(None, image),
            (Self::Appx(spec), Prepared::Appx(prepared)) => spec.apply(Some(prepared), image),
            (Self::Appx(spec), Prepared::Nothing) => spec.apply(None, image),
            (Self::Defaults(spec), Prepared::Defaults(prepared)) => {
                spec.apply(Some(prepared), image)
            }
            (Self::Defaults(spec), Prepared::Nothing) => spec.apply(None, image),
            (Self::WinPe(spec), Prepared::WinPe(prepared)) => spec.apply(Some(prepared), image),
            (Self::WinPe(spec), Prepared::Nothing) => spec.apply(None, image),
            (Self::WinRe(spec), Prepared::WinRe(prepared)) => spec.apply(prepared, image),
            (Self::RegistryKey(spec), _) => spec.apply(image),
            (Self::Service(spec), _) => spec.apply(image),
            (Self::RegistryFile(spec), Prepared::RegistryFile(prepared)) => {
                spec.apply(prepared, image)
            }
            (Self::Files(spec), Prepared::Files(prepared)) => spec.apply(prepared, image),
            (Self::Unattend(spec), Prepared::Unattend(prepared)) => spec.apply(prepared, image),
            (Self::FirstBoot(spec), Prepared::FirstBoot(prepared)) => spec.apply(prepared, image),
            (
                Self::Package(_)
                | Self::Feature(_)
                | Self::Driver(_)
                | Self::Locale(_)
                | Self::Appx(_)
                | Self::Defaults(_)
                | Self::WinPe(_)
                | Self::WinRe(_)
                | Self::RegistryFile(_)
                | Self::Files(_)
                | Self::Unattend(_)
                | Self::FirstBoot(_),
                _,
            ) => {
                let cause = "what was prepared belongs to another operation";
                let help = "this is a fault of the program; building with --no-cache may help";
                Err(ServicingError::refused(self.name(), Problem::error(self.title(), cause, help)))
            }
        }
    }

    /// What a build says of the prepared inputs, whatever the image. Nothing of it stops the step.
    #[must_use]
    pub fn warnings(&self, prepared: &Prepared) -> Vec<Problem> {
        match prepared {
            Prepared::Unattend(_) => self.defects(prepared),
            Prepared::WinRe(prepared) => prepared.warnings(),
            Prepared::Nothing
            | Prepared::Packages(_)
            | Prepared::Driver(_)
            | Prepared::Locale(_)
            | Prepared::Appx(_)
            | Prepared::Defaults(_)
            | Prepared::WinPe(_)
            | Prepared::RegistryFile(_)
            | Prepared::Files(_)
            | Prepared::FirstBoot(_) => Vec::new(),
        }
    }

    /// Everything that is odd or wrong about the prepared inputs by themselves: what `check` says of them.
    #[must_use]
    pub fn defects(&self, prepared: &Prepared) -> Vec<Problem> {
        match (self, prepared) {
            (_, Prepared::Unattend(prepared)) => prepared.warnings(&ImageFacts::default()),
            (Self::Package(spec), Prepared::Packages(prepared)) => spec.defects(prepared),
            (Self::Driver(spec), Prepared::Driver(prepared)) => spec.defects(prepared),
            _ => Vec::new(),
        }
    }

    /// Looks at the prepared inputs and the image without changing it: what [`Operation::check_image`] cannot know before the inputs
    /// were read.
    pub fn check_prepared(
        &self,
        prepared: &Prepared,
        image: &mut Image,
        facts: &ImageFacts,
    ) -> Vec<Problem> {
        match (self, prepared) {
            (Self::Package(spec), Prepared::Packages(prepared)) => {
                spec.check(Some(prepared), image, facts)
            }
            (Self::Feature(spec), Prepared::Packages(prepared)) => {
                spec.check(Some(prepared), image, facts)
            }
            (Self::Driver(spec), Prepared::Driver(prepared)) => {
                spec.check_prepared(prepared, image, facts)
            }
            (Self::Locale(spec), Prepared::Locale(prepared)) => {
                spec.check(Some(prepared), image, facts)
            }
            (Self::Appx(spec), Prepared::Appx(prepared)) => {
                spec.check(Some(prepared), image, facts)
            }
            (Self::Defaults(spec), Prepared::Defaults(prepared)) => {
                spec.check(Some(prepared), image, facts)
            }
            (Self::WinPe(spec), Prepared::WinPe(prepared)) => {
                spec.check(Some(prepared), image, facts)
            }
            (Self::RegistryFile(spec), Prepared::RegistryFile(prepared)) => {
                spec.check(prepared, image)
            }
            (Self::Files(spec), Prepared::Files(prepared)) => spec.check_prepared(prepared, image),
            (Self::Unattend(spec), Prepared::Unattend(prepared)) => {
                spec.check(prepared, image, facts)
            }
            (Self::FirstBoot(_), Prepared::FirstBoot(prepared)) => {
                first_boot::check_prepared(prepared, image)
            }
            _ => Vec::new(),
        }
    }

    /// Looks at the image without changing it: what would make the step fail, and what is odd about it.
    pub fn check_image(&self, image: &mut Image, facts: &ImageFacts) -> Vec<Problem> {
        match self {
            Self::Package(spec) if spec.inputs().is_empty() => spec.check(None, image, facts),
            Self::Feature(spec) if spec.inputs().is_empty() => spec.check(None, image, facts),
            // What a source brings is known once it is prepared: see `check_prepared`.
            Self::Package(_) | Self::Feature(_) => Vec::new(),
            Self::Driver(spec) => spec.check(image),
            Self::Locale(spec) => spec.check(None, image, facts),
            Self::Appx(spec) => spec.check(None, image, facts),
            Self::Defaults(spec) => spec.check(None, image, facts),
            Self::WinPe(spec) => spec.check(None, image, facts),
            Self::WinRe(spec) => spec.check(image),
            Self::RegistryKey(spec) => spec.check(image),
            // Which keys a .reg file names is known once it is prepared: see `check_prepared`.
            Self::RegistryFile(_) => Vec::new(),
            Self::Service(spec) => spec.check(image),
            Self::Files(spec) => spec.check(image),
            // Whether a file is placed at all is known once it is prepared: see `check_prepared`.
            Self::Unattend(_) => Vec::new(),
            Self::FirstBoot(_) => first_boot::check(facts),
        }
    }
}
