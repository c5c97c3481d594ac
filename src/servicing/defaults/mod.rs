//! What new users and the machine start with: default app associations, OEM information, the registered owner, the computer's name.
//!
//! - `Windows\System32\OEMDefaultAssociations.xml`: see `associations`
//! - `HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\OEMInformation`: what Settings shows of the manufacturer; the logo is copied to
//!   `Windows\System32\oemlogo.bmp`
//! - `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion`: `RegisteredOwner`, `RegisteredOrganization`
//! - `HKLM\SYSTEM\CurrentControlSet\Control\ComputerName\ComputerName` and `Services\Tcpip\Parameters`: the computer's name. Windows Setup gives a generalized image a
//!   new one, whatever stands there, so it is written only into an image that is past that; that these three values are enough is inferred.

mod associations;

use crate::{
    base::{name::Name, ntpath::NtPath},
    format::hive::Value,
    image::{Image, ImageError, ImageFacts, NewNode, RegistryPath},
    store::StoredBlob,
};

use super::{
    error::{Problem, ServicingError},
    inputs::{BlobSink, InputId, Inputs, read_file, single_file},
    own_file,
};

use associations::{Associations, Defect};

/// What a recipe says of it. What it does not say stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DefaultsSpec {
    /// Default app associations.
    pub associations: Option<AssociationsAction>,
    /// What Settings shows of the manufacturer.
    pub oem: Option<OemInformation>,
    /// The computer's name.
    pub computer_name: Option<String>,
    /// Who the copy of Windows is registered to.
    pub registered_owner: Option<String>,
    /// Which organization it is registered to.
    pub registered_organization: Option<String>,
}

/// What happens to the default app associations.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum AssociationsAction {
    /// Those of the file are merged into those of the image.
    Merge(InputId),
    /// Those of the file, and no others.
    Replace(InputId),
    /// The image has none.
    Absent,
}

/// What Settings shows of the manufacturer. An empty text takes the value away.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct OemInformation {
    /// The manufacturer.
    pub manufacturer: Option<String>,
    /// The model.
    pub model: Option<String>,
    /// The page of the support.
    pub support_url: Option<String>,
    /// The telephone number of the support.
    pub support_phone: Option<String>,
    /// When somebody answers it.
    pub support_hours: Option<String>,
    /// A bitmap.
    pub logo: Option<InputId>,
}

/// What `prepare` made of the inputs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PreparedDefaults {
    associations: Option<Associations>,
    logo: Option<StoredBlob>,
    /// What is odd about the files: item, cause, help.
    warnings: Vec<(String, String, String)>,
}

/// What an image has of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct DefaultsState {
    /// The computer's name.
    pub computer_name: Option<String>,
    /// Who the copy of Windows is registered to.
    pub registered_owner: Option<String>,
    /// Which organization it is registered to.
    pub registered_organization: Option<String>,
    /// Values of the key `OEMInformation`, by name.
    pub oem: Vec<(String, String)>,
    /// How many default app associations there are; `None` when there is no file, or none that can be read.
    pub associations: Option<usize>,
}

const NAME: &str = "defaults";
const OEM: &str = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\OEMInformation";
const VERSION: &str = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion";
const COMPUTER_NAME: &str = r"HKLM\SYSTEM\CurrentControlSet\Control\ComputerName\ComputerName";
const TCPIP: &str = r"HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters";
const CLASSES: &str = r"HKLM\SOFTWARE\Classes";
const LOGO: &str = "oemlogo.bmp";
/// Width and height that Microsoft documents for the logo, in pixels.
const LOGO_SIZE: i32 = 120;
/// The first build of Windows with default app associations.
const FIRST_BUILD: u32 = 9200;
/// States of an image whose name Setup does not give any more.
const NAMED: [&str; 3] = [
    "IMAGE_STATE_COMPLETE",
    "IMAGE_STATE_SPECIALIZE_RESEAL_TO_OOBE",
    "IMAGE_STATE_SPECIALIZE_RESEAL_TO_AUDIT",
];

impl OemInformation {
    /// Names of values and their texts, without the logo.
    fn texts(&self) -> impl Iterator<Item = (&'static str, &str)> {
        [
            ("Manufacturer", &self.manufacturer),
            ("Model", &self.model),
            ("SupportURL", &self.support_url),
            ("SupportPhone", &self.support_phone),
            ("SupportHours", &self.support_hours),
        ]
        .into_iter()
        .filter_map(|(name, text)| Some((name, text.as_deref()?)))
    }
}

impl DefaultsSpec {
    pub(super) fn title(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.associations.as_ref().map(|action| match action {
            AssociationsAction::Merge(input) => format!("associations from {input}"),
            AssociationsAction::Replace(input) => format!("associations replaced from {input}"),
            AssociationsAction::Absent => "no associations".to_owned(),
        }));
        parts.extend(self.oem.as_ref().map(|_| "OEM information".to_owned()));
        parts.extend(self.computer_name.as_ref().map(|name| format!("computer name {name}")));
        parts.extend(self.registered_owner.as_ref().map(|_| "registered owner".to_owned()));
        parts.extend(
            self.registered_organization.as_ref().map(|_| "registered organization".to_owned()),
        );
        format!("defaults: {}", parts.join(", "))
    }

    fn associations_input(&self) -> Option<&InputId> {
        match self.associations.as_ref()? {
            AssociationsAction::Merge(input) | AssociationsAction::Replace(input) => Some(input),
            AssociationsAction::Absent => None,
        }
    }

    fn logo(&self) -> Option<&InputId> {
        self.oem.as_ref()?.logo.as_ref()
    }

    pub(super) fn inputs(&self) -> Vec<InputId> {
        self.associations_input().into_iter().chain(self.logo()).cloned().collect()
    }

    /// `None` when there is nothing to prepare.
    pub(super) fn prepare(
        &self,
        inputs: &dyn Inputs,
        blobs: &dyn BlobSink,
    ) -> Result<Option<PreparedDefaults>, ServicingError> {
        let mut prepared =
            PreparedDefaults { associations: None, logo: None, warnings: Vec::new() };
        if let Some(id) = self.associations_input() {
            let placed = |(line, column, cause, help): Defect| {
                (format!("{id}:{line}:{column}"), cause, help)
            };
            let (read, odd) =
                Associations::read(&read_file(NAME, inputs, id)?).map_err(|defect| {
                    let (item, cause, help) = placed(defect);
                    ServicingError::refused(NAME, Problem::error(item, cause, help))
                })?;
            prepared.associations = Some(read);
            prepared.warnings.extend(odd.into_iter().map(placed));
        }
        if let Some(id) = self.logo() {
            let bytes = read_file(NAME, inputs, id)?;
            let size = bitmap_size(&bytes).ok_or_else(|| {
                let help = format!("Windows shows a .bmp of {LOGO_SIZE} by {LOGO_SIZE} pixels");
                ServicingError::refused(NAME, Problem::error(&id.0, "the logo is no bitmap", help))
            })?;
            if size != (LOGO_SIZE, LOGO_SIZE) {
                let cause = format!("the logo has {} by {} pixels", size.0, size.1);
                let help = format!("Windows shows {LOGO_SIZE} by {LOGO_SIZE}");
                prepared.warnings.push((id.0.clone(), cause, help));
            }
            let (content, blake3) = single_file(NAME, inputs, id)?;
            prepared.logo = Some(blobs.put(&id.0, content.as_ref(), &blake3)?);
        }
        Ok((!self.inputs().is_empty()).then_some(prepared))
    }

    pub(super) fn apply(
        &self,
        prepared: Option<&PreparedDefaults>,
        image: &mut Image,
    ) -> Result<(), ServicingError> {
        let facts = image.facts();
        if let Some(problem) = self.problems(&facts).into_iter().find(|problem| !problem.warning) {
            return Err(ServicingError::refused(NAME, problem));
        }
        let file = associations_path(image);
        match (&self.associations, prepared.and_then(|one| one.associations.as_ref())) {
            (Some(AssociationsAction::Absent), _) => image.remove(&file).map_err(failed)?,
            (Some(action), Some(new)) => {
                let merged = match action {
                    AssociationsAction::Merge(_) => self.there(image)?.merged(new),
                    _ => Associations::default().merged(new),
                };
                own_file::put_bytes(image, &file, merged.to_bytes()).map_err(failed)?;
            }
            _ => {}
        }
        self.write(prepared, image).map_err(failed)
    }

    /// The registry, and the logo.
    fn write(
        &self,
        prepared: Option<&PreparedDefaults>,
        image: &mut Image,
    ) -> Result<(), ImageError> {
        for (name, text) in self.oem.iter().flat_map(OemInformation::texts) {
            set_text(image, OEM, name, text)?;
        }
        if let Some(logo) = prepared.and_then(|prepared| prepared.logo) {
            let root = image.system_root();
            let path = NtPath::from_names(vec![root.clone(), "System32".into(), LOGO.into()]);
            own_file::put_file(image, &path, logo, &NewNode::default())?;
            set_text(image, OEM, "Logo", &format!(r"C:\{root}\System32\{LOGO}"))?;
        }
        if let Some(owner) = &self.registered_owner {
            set_text(image, VERSION, "RegisteredOwner", owner)?;
        }
        if let Some(organization) = &self.registered_organization {
            set_text(image, VERSION, "RegisteredOrganization", organization)?;
        }
        if let Some(name) = &self.computer_name {
            set_text(image, COMPUTER_NAME, "ComputerName", &name.to_ascii_uppercase())?;
            set_text(image, TCPIP, "Hostname", name)?;
            set_text(image, TCPIP, "NV Hostname", name)?;
        }
        Ok(())
    }

    /// The associations of the image.
    fn there(&self, image: &Image) -> Result<Associations, ServicingError> {
        let path = associations_path(image);
        if image.tree().lookup(&path).is_none() {
            return Ok(Associations::default());
        }
        let bytes = image.read(&path).map_err(failed)?;
        Associations::of_image(&bytes).map_err(|error| {
            let cause = format!("the image's own associations cannot be read: {error}");
            let help = "write associations = { file = ..., replace = true } to leave them out";
            ServicingError::refused(NAME, Problem::error(path.to_string(), cause, help))
        })
    }

    /// `prepared` is `None` before the inputs were read, and where there are none.
    pub(super) fn check(
        &self,
        prepared: Option<&PreparedDefaults>,
        image: &mut Image,
        facts: &ImageFacts,
    ) -> Vec<Problem> {
        let Some(prepared) = prepared else { return self.problems(facts) };
        let mut problems: Vec<Problem> = prepared
            .warnings
            .iter()
            .map(|(item, cause, help)| Problem::warning(item, cause, help))
            .collect();
        if matches!(self.associations, Some(AssociationsAction::Merge(_)))
            && let Err(error) = self.there(image)
        {
            problems.push(error.into_problem());
        }
        problems.extend(self.unknown_classes(prepared, image));
        problems
    }

    /// What stands against it in this image.
    fn problems(&self, facts: &ImageFacts) -> Vec<Problem> {
        if facts.windows_pe {
            let cause = "Windows PE has no users, and takes none of these settings";
            let help = "take [defaults] out of the recipe for this image";
            return vec![Problem::error("[defaults]", cause, help)];
        }
        let mut problems = Vec::new();
        if self.associations.is_some() && facts.build.is_some_and(|build| build < FIRST_BUILD) {
            let cause = "Windows before 8 and Server 2012 takes no default app associations";
            problems.push(Problem::error("associations", cause, "take it out of [defaults]"));
        }
        let state = facts.image_state.as_deref();
        let named = state.is_some_and(|state| NAMED.contains(&state));
        if self.computer_name.is_some() && !named {
            let cause = match state {
                Some(state) => format!(
                    "the image is generalized ({state}): Windows Setup gives the computer a new name, whatever the image says"
                ),
                None => "the image does not say that it is past Windows Setup, which gives the computer a new name".to_owned(),
            };
            let help = "give the name in the answer file: ComputerName of Microsoft-Windows-Shell-Setup in the pass `specialize` ([unattend])";
            problems.push(Problem::error("computer-name", cause, help));
        }
        problems
    }

    /// Programs that the image does not know. Those of apps are made when the app is installed.
    fn unknown_classes(&self, prepared: &PreparedDefaults, image: &mut Image) -> Option<Problem> {
        let input = self.associations_input()?;
        let classes = RegistryPath::parse(CLASSES).expect("a constant path");
        let mut unknown: Vec<&str> = Vec::new();
        for entry in prepared.associations.iter().flat_map(|all| &all.entries) {
            let id = entry.prog_id.as_str();
            let of_app = id.get(..4).is_some_and(|start| start.eq_ignore_ascii_case("appx"));
            let mut known =
                || image.registry_key_exists(&classes.join(&Name::from(id))).unwrap_or(true);
            if !of_app && !unknown.contains(&id) && !known() {
                unknown.push(id);
            }
        }
        let (first, more) = unknown.split_first()?;
        let more =
            if more.is_empty() { String::new() } else { format!(" and {} more", more.len()) };
        let cause = format!("the image has no program {first}{more}");
        let help = "Windows ignores these associations unless the program is installed before the user first logs on";
        Some(Problem::warning(&input.0, cause, help))
    }
}

/// What the image has of it.
///
/// # Errors
/// When a hive is missing or damaged.
pub fn inventory(image: &mut Image) -> Result<DefaultsState, ImageError> {
    let mut text = |key: &str, name: &str| {
        let key = RegistryPath::parse(key).expect("a constant path");
        let value = image.registry_value(&key, &name.into())?;
        Ok::<_, ImageError>(value.and_then(|value| value.as_text()).filter(|text| !text.is_empty()))
    };
    let mut state = DefaultsState {
        computer_name: text(COMPUTER_NAME, "ComputerName")?,
        registered_owner: text(VERSION, "RegisteredOwner")?,
        registered_organization: text(VERSION, "RegisteredOrganization")?,
        oem: Vec::new(),
        associations: None,
    };
    let key = RegistryPath::parse(OEM).expect("a constant path");
    let values = image.registry_values(&key)?;
    state.oem =
        values.iter().filter_map(|value| Some((value.name.to_text()?, value.as_text()?))).collect();
    let path = associations_path(image);
    if image.tree().lookup(&path).is_some() {
        let bytes = image.read(&path)?;
        state.associations = Associations::of_image(&bytes).ok().map(|all| all.entries.len());
    }
    Ok(state)
}

fn associations_path(image: &Image) -> NtPath {
    let names = vec![image.system_root(), "System32".into(), "OEMDefaultAssociations.xml".into()];
    NtPath::from_names(names)
}

/// Sets a text; an empty one takes the value away.
fn set_text(image: &mut Image, key: &str, name: &str, text: &str) -> Result<(), ImageError> {
    let key = RegistryPath::parse(key).expect("a constant path");
    match text {
        "" => image.delete_value(&key, &name.into()),
        text => image.set_value(&key, &Value::sz(name, text)),
    }
}

fn failed(error: ImageError) -> ServicingError {
    ServicingError::image(NAME, "[defaults]", error)
}

/// Width and height of a bitmap, in pixels.
fn bitmap_size(bytes: &[u8]) -> Option<(i32, i32)> {
    let number = |at: usize| {
        bytes.get(at..at + 4).and_then(|four| four.try_into().ok()).map(i32::from_le_bytes)
    };
    // BITMAPFILEHEADER, then a BITMAPINFOHEADER of at least 40 bytes; rows may be stored from the top, which is a negative height.
    let is_bitmap = bytes.starts_with(b"BM") && number(14)? >= 40;
    is_bitmap.then_some(())?;
    Some((number(18)?, number(22)?.checked_abs()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bitmap_tells_its_size() {
        let mut bytes = b"BM".to_vec();
        bytes.resize(14, 0);
        for number in [40_i32, 120, -120] {
            bytes.extend(number.to_le_bytes());
        }
        assert_eq!(bitmap_size(&bytes), Some((120, 120)));
        assert_eq!(bitmap_size(&bytes[..20]), None);
        assert_eq!(bitmap_size(b"\x89PNG"), None);
    }

    #[test]
    fn a_name_is_written_only_into_an_image_that_keeps_it() {
        let spec = DefaultsSpec { computer_name: Some("a".to_owned()), ..DefaultsSpec::default() };
        let facts = |state: Option<&str>| ImageFacts {
            image_state: state.map(str::to_owned),
            ..ImageFacts::default()
        };
        assert!(spec.problems(&facts(Some("IMAGE_STATE_COMPLETE"))).is_empty());
        for state in
            [None, Some("IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE"), Some("IMAGE_STATE_UNDEPLOYABLE")]
        {
            let problems = spec.problems(&facts(state));
            assert!(problems[0].help.contains("specialize") && !problems[0].warning);
        }
    }
}
