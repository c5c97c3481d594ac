//! Settings of a Windows PE image.
//!
//! - scratch space: `HKLM\SYSTEM\CurrentControlSet\Services\FBWF!WinPECacheThreshold`, in MiB; 32 without it
//! - target path: `HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\WinPE!InstRoot`
//! - `Windows\System32\startnet.cmd`, which starts everything (`wpeinit` first), unless there is a `Windows\System32\winpeshl.ini`
//!
//! The two registry values are known from public projects that set them; DISM takes 32, 64, 128, 256 and 512 MiB, the driver more.

mod text;

use crate::{
    base::{digest::Blake3, name::Name, ntpath::NtPath},
    format::hive::Value,
    image::{Architecture, Image, ImageError, ImageFacts, NewNode, RegistryPath},
    store::StoredBlob,
};

use super::{
    error::{Problem, ServicingError},
    inputs::{BlobSink, InputId, Inputs, read_file},
    own_file,
};

/// What a recipe says of it. What it does not say stays.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct WinPeSpec {
    /// Memory that takes what is written to the system drive, in MiB.
    pub scratch_mib: Option<u32>,
    /// The path that Windows PE runs from.
    pub target_path: Option<String>,
    /// What it starts.
    pub startnet: Option<Startnet>,
    /// What it starts instead of `startnet.cmd`.
    pub winpeshl: Option<Winpeshl>,
}

/// `startnet.cmd`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Startnet {
    /// The file as it is.
    File(InputId),
    /// Lines behind `wpeinit`.
    Commands(Vec<String>),
}

/// `winpeshl.ini`.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Winpeshl {
    /// The file as it is.
    File(InputId),
    /// One program, without arguments (`[LaunchApp]`).
    App(String),
    /// Programs one after the other, each with its arguments behind a comma (`[LaunchApps]`).
    Apps(Vec<String>),
}

/// What `prepare` made of the inputs.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct PreparedWinPe {
    startnet: Option<StoredBlob>,
    winpeshl: Option<StoredBlob>,
    /// What is odd about the files: item, cause, help.
    warnings: Vec<(String, String, String)>,
    /// True when the given winpeshl.ini starts `startnet.cmd`.
    starts_startnet: bool,
}

/// What a Windows PE image has of it.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct WinPeState {
    /// Memory that takes what is written to the system drive, in MiB; `None`: nothing is said, so 32.
    pub scratch_mib: Option<u32>,
    /// The path that Windows PE runs from.
    pub target_path: Option<String>,
    /// The lines of `startnet.cmd`; `None` when there is none.
    pub startnet: Option<Vec<String>>,
    /// The lines of `winpeshl.ini`; `None` when there is none.
    pub winpeshl: Option<Vec<String>>,
    /// Optional components: keys below `...\WinPE\OC`.
    pub components: Vec<String>,
}

const NAME: &str = "winpe";
const FBWF: &str = r"HKLM\SYSTEM\CurrentControlSet\Services\FBWF";
const THRESHOLD: &str = "WinPECacheThreshold";
const WINPE: &str = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\WinPE";
const STARTNET: &str = "startnet.cmd";
const WINPESHL: &str = "winpeshl.ini";
/// What DISM takes, in MiB.
pub(crate) const DOCUMENTED: [u32; 5] = [32, 64, 128, 256, 512];
/// What the driver takes, in MiB.
const MOST: u32 = 4095;
const MOST_X86: u32 = 1024;

impl WinPeSpec {
    pub(super) fn title(&self) -> String {
        let mut parts = Vec::new();
        parts.extend(self.scratch_mib.map(|mib| format!("scratch space {mib} MiB")));
        parts.extend(self.target_path.as_ref().map(|path| format!("target path {path}")));
        parts.extend(self.startnet.as_ref().map(|_| STARTNET.to_owned()));
        parts.extend(self.winpeshl.as_ref().map(|_| WINPESHL.to_owned()));
        format!("winpe: {}", parts.join(", "))
    }

    fn files(&self) -> (Option<&InputId>, Option<&InputId>) {
        let startnet = match &self.startnet {
            Some(Startnet::File(id)) => Some(id),
            _ => None,
        };
        let winpeshl = match &self.winpeshl {
            Some(Winpeshl::File(id)) => Some(id),
            _ => None,
        };
        (startnet, winpeshl)
    }

    pub(super) fn inputs(&self) -> Vec<InputId> {
        let (startnet, winpeshl) = self.files();
        startnet.into_iter().chain(winpeshl).cloned().collect()
    }

    /// `None` when there is nothing to prepare.
    pub(super) fn prepare(
        &self,
        inputs: &dyn Inputs,
        blobs: &dyn BlobSink,
    ) -> Result<Option<PreparedWinPe>, ServicingError> {
        let mut prepared = PreparedWinPe {
            startnet: None,
            winpeshl: None,
            warnings: Vec::new(),
            starts_startnet: false,
        };
        let (startnet, winpeshl) = self.files();
        let mut take = |id: &InputId, odd: fn(&[u8]) -> Vec<text::Odd>| {
            let bytes = read_file(NAME, inputs, id)?;
            prepared.warnings.extend(odd(&bytes).into_iter().map(|(line, cause, help)| {
                let item = line.map_or_else(|| id.0.clone(), |line| format!("{id}:{line}"));
                (item, cause, help.to_owned())
            }));
            let stored = blobs.put(&id.0, &bytes, &Blake3::of(&bytes))?;
            Ok::<_, ServicingError>((stored, bytes))
        };
        let startnet = startnet.map(|id| take(id, text::startnet_oddities)).transpose()?;
        let winpeshl = winpeshl.map(|id| take(id, text::winpeshl_oddities)).transpose()?;
        prepared.startnet = startnet.map(|(stored, _)| stored);
        if let Some((stored, bytes)) = winpeshl {
            prepared.winpeshl = Some(stored);
            prepared.starts_startnet = text::mentions_startnet(&text::lossy(&bytes));
        }
        Ok((!self.inputs().is_empty()).then_some(prepared))
    }

    pub(super) fn apply(
        &self,
        prepared: Option<&PreparedWinPe>,
        image: &mut Image,
    ) -> Result<(), ServicingError> {
        let facts = image.facts();
        if let Some(problem) = self.problems(&facts).into_iter().find(|problem| !problem.warning) {
            return Err(ServicingError::refused(NAME, problem));
        }
        self.write(prepared, image).map_err(|error| ServicingError::image(NAME, "[winpe]", error))
    }

    fn write(&self, prepared: Option<&PreparedWinPe>, image: &mut Image) -> Result<(), ImageError> {
        if let Some(mib) = self.scratch_mib {
            image.set_value(&key(FBWF), &Value::dword(THRESHOLD, mib))?;
        }
        if let Some(path) = &self.target_path {
            image.set_value(&key(WINPE), &Value::sz("InstRoot", path))?;
        }
        let plain = NewNode::default();
        let startnet = system_file(image, STARTNET);
        match &self.startnet {
            Some(Startnet::Commands(commands)) => {
                own_file::put_bytes(image, &startnet, text::startnet(commands))?;
            }
            Some(Startnet::File(_)) => {
                if let Some(stored) = prepared.and_then(|prepared| prepared.startnet) {
                    own_file::put_file(image, &startnet, stored, &plain)?;
                }
            }
            None => {}
        }
        let winpeshl = system_file(image, WINPESHL);
        match &self.winpeshl {
            Some(Winpeshl::App(app)) => {
                own_file::put_bytes(image, &winpeshl, text::winpeshl_app(app))?;
            }
            Some(Winpeshl::Apps(apps)) => {
                own_file::put_bytes(image, &winpeshl, text::winpeshl_apps(apps))?;
            }
            Some(Winpeshl::File(_)) => {
                if let Some(stored) = prepared.and_then(|prepared| prepared.winpeshl) {
                    own_file::put_file(image, &winpeshl, stored, &plain)?;
                }
            }
            None => {}
        }
        Ok(())
    }

    /// `prepared` is `None` before the inputs were read, and where there are none.
    pub(super) fn check(
        &self,
        prepared: Option<&PreparedWinPe>,
        image: &mut Image,
        facts: &ImageFacts,
    ) -> Vec<Problem> {
        if prepared.is_none() {
            let mut problems = self.problems(facts);
            if problems.is_empty() {
                problems.extend(self.without_driver(image));
            }
            if self.inputs().is_empty() && problems.iter().all(|problem| problem.warning) {
                problems.extend(self.unused_startnet(None, image));
            }
            return problems;
        }
        let mut problems: Vec<Problem> = prepared
            .iter()
            .flat_map(|prepared| &prepared.warnings)
            .map(|(item, cause, help)| Problem::warning(item, cause, help))
            .collect();
        problems.extend(self.unused_startnet(prepared, image));
        problems
    }

    /// What stands against it in this image.
    fn problems(&self, facts: &ImageFacts) -> Vec<Problem> {
        if !facts.windows_pe {
            let cause = "the image is no Windows PE";
            let help = "take [winpe] out, or choose the image of a boot.wim; its recovery image has a section of its own, [winre]";
            return vec![Problem::error("[winpe]", cause, help)];
        }
        let Some(mib) = self.scratch_mib else { return Vec::new() };
        if DOCUMENTED.contains(&mib) {
            return Vec::new();
        }
        let most = if facts.architecture == Some(Architecture::X86) { MOST_X86 } else { MOST };
        let problem = if mib > most {
            let cause =
                format!("a scratch space of {mib} MiB is more than this Windows PE can have");
            Problem::error("scratch-mib", cause, format!("give at most {most}"))
        } else {
            let cause = format!(
                "a scratch space of {mib} MiB is more than the 512 that Microsoft documents: the driver takes it, DISM does not set it"
            );
            let help = "it is taken from the computer's memory; test it on the smallest computer that starts from this image";
            Problem::warning("scratch-mib", cause, help)
        };
        vec![problem]
    }

    /// The scratch space is that of a driver.
    fn without_driver(&self, image: &mut Image) -> Option<Problem> {
        self.scratch_mib?;
        let there = image.registry_key_exists(&key(FBWF)).unwrap_or(true);
        (!there).then(|| {
            let cause = "the image has no FBWF driver, whose setting this is";
            Problem::warning("scratch-mib", cause, "it has no effect unless the driver is there")
        })
    }

    /// `startnet.cmd` is not run when there is a `winpeshl.ini` that does not start it.
    fn unused_startnet(&self, prepared: Option<&PreparedWinPe>, image: &Image) -> Option<Problem> {
        self.startnet.as_ref()?;
        let starts = match &self.winpeshl {
            Some(Winpeshl::App(app)) => text::mentions_startnet(app),
            Some(Winpeshl::Apps(apps)) => apps.iter().any(|app| text::mentions_startnet(app)),
            Some(Winpeshl::File(_)) => prepared.is_none_or(|prepared| prepared.starts_startnet),
            None => {
                let path = system_file(image, WINPESHL);
                image.tree().lookup(&path)?;
                let bytes = image.read(&path).ok()?;
                text::mentions_startnet(&text::lossy(&bytes))
            }
        };
        (!starts).then(|| {
            let cause = "there is a winpeshl.ini, so Windows PE does not run startnet.cmd";
            let help =
                "start it from winpeshl.ini (`cmd.exe, /k startnet.cmd`), or remove that file";
            Problem::warning(STARTNET, cause, help)
        })
    }
}

/// What the image has of it; `None` when it is no Windows PE.
///
/// # Errors
/// When a hive is missing or damaged.
pub fn inventory(image: &mut Image) -> Result<Option<WinPeState>, ImageError> {
    if !image.facts().windows_pe {
        return Ok(None);
    }
    let scratch = image.registry_value(&key(FBWF), &THRESHOLD.into())?;
    let target = image.registry_value(&key(WINPE), &"InstRoot".into())?;
    let components = image.registry_subkeys(&key(WINPE).join(&"OC".into()))?;
    let lines = |file: &str| {
        let path = system_file(image, file);
        image.tree().lookup(&path)?;
        let text = text::lossy(&image.read(&path).ok()?);
        Some(
            text.lines()
                .map(str::trim_end)
                .filter(|line| !line.is_empty())
                .map(str::to_owned)
                .collect(),
        )
    };
    Ok(Some(WinPeState {
        scratch_mib: scratch.and_then(|value| value.as_dword()),
        target_path: target.and_then(|value| value.as_text()),
        startnet: lines(STARTNET),
        winpeshl: lines(WINPESHL),
        components: components.iter().filter_map(Name::to_text).collect(),
    }))
}

/// Why `path` is no target path; `None` when it is one.
#[must_use]
pub fn target_path_defect(path: &str) -> Option<&'static str> {
    let rest = path.get(1..);
    let letter = path
        .chars()
        .next()
        .is_some_and(|letter| ('C'..='Z').contains(&letter.to_ascii_uppercase()));
    if !path.is_ascii() {
        Some("it has letters other than those of ASCII")
    } else if !(3..=32).contains(&path.len()) {
        Some("it has not between 3 and 32 characters")
    } else if !letter || !rest.is_some_and(|rest| rest.starts_with(":\\")) {
        Some("it does not begin with a drive from C to Z, as in `X:\\`")
    } else if path.contains([' ', '\t']) {
        Some("it has blanks")
    } else if path.contains(['"', '\'']) {
        Some("it has quotes")
    } else if path.contains(['/', '*', '?', '<', '>', '|']) || path[2..].contains(':') {
        Some("it has characters that a path cannot have")
    } else if path[3..].trim_end_matches('\\').split('\\').any(|part| part == "." || part == "..") {
        Some("it has `.` or `..` in it")
    } else if path[3..].contains("\\\\") || path.chars().any(char::is_control) {
        Some("it has an empty name in it")
    } else {
        None
    }
}

/// Why a line cannot stand in a command file or in `winpeshl.ini`; `None` when it can.
#[must_use]
pub fn line_defect(line: &str) -> Option<&'static str> {
    text::line_defect(line)
}

/// Why this is no program of `winpeshl.ini`; `None` when it is one. `alone`: one without arguments.
#[must_use]
pub fn app_defect(app: &str, alone: bool) -> Option<&'static str> {
    text::app_defect(app, alone)
}

fn system_file(image: &Image, file: &str) -> NtPath {
    NtPath::from_names(vec![image.system_root(), "System32".into(), file.into()])
}

fn key(text: &str) -> RegistryPath {
    RegistryPath::parse(text).expect("a constant path")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn target_paths_follow_microsofts_rules() {
        for good in [r"X:\", r"c:\WinPE", r"Z:\a\b", r"X:\Sources\"] {
            assert_eq!(target_path_defect(good), None, "{good}");
        }
        for bad in [
            "",
            "X:",
            r"A:\",
            r"X\a",
            r"X:\a b",
            r#"X:\"a""#,
            r"X:\..\a",
            r"X:\.",
            r"X:\ä",
            r"X:\a\\b",
            r"X:\a:b",
            "X:/a",
            r"\\server\share",
            r"X:\aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa",
        ] {
            assert!(target_path_defect(bad).is_some(), "{bad}");
        }
    }

    #[test]
    fn scratch_space_beyond_the_documented_is_warned_of_or_refused() {
        let problems = |mib, architecture| {
            let spec = WinPeSpec { scratch_mib: Some(mib), ..WinPeSpec::default() };
            let facts = ImageFacts { windows_pe: true, architecture, ..ImageFacts::default() };
            spec.problems(&facts)
        };
        assert!(problems(512, None).is_empty());
        assert!(problems(1024, Some(Architecture::X86))[0].warning);
        assert!(!problems(2048, Some(Architecture::X86))[0].warning);
        assert!(problems(4095, Some(Architecture::Amd64))[0].warning);
        let full = WinPeSpec { scratch_mib: Some(64), ..WinPeSpec::default() };
        let problem = &full.problems(&ImageFacts::default())[0];
        assert!(!problem.warning && problem.cause.contains("no Windows PE"), "{problem:?}");
    }
}
