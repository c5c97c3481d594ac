//! How far an image is with Windows Setup: its state, what is in progress, which answer files Setup finds and in which order, what it runs at the end.
//!
//! The order in which Setup looks for answer files is Microsoft's ("Windows Setup Automation Overview"); of its places those are here that an image has: the registry
//! names one, then `Windows\Panther\Unattend`, `Windows\Panther`, `System32\Sysprep`, the root of the drive.

use crate::{
    base::{name::Name, ntpath::NtPath},
    image::{HiveId, Image, ImageError, RegistryPath},
};

use super::first_boot;

/// How far an image is with Windows Setup. What is not said in the image is unknown.
#[derive(Debug, Clone, PartialEq, Eq, Default, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct SetupState {
    /// The state in the SOFTWARE hive: `IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE`.
    pub image_state: Option<String>,
    /// The state in `Windows\Setup\State\State.ini`.
    pub state_file: Option<String>,
    /// The state that servicing wrote down.
    pub servicing_state: Option<String>,
    /// What sysprep did: `GeneralizationState` of `SYSTEM\Setup\Status\SysprepStatus`; 4 or 7 in a generalized image.
    pub generalization_state: Option<u32>,
    /// `SystemSetupInProgress`.
    pub setup_in_progress: Option<u32>,
    /// `OOBEInProgress`.
    pub oobe_in_progress: Option<u32>,
    /// `SetupType`: 0 nothing, 1 Setup before the services start, 2 Setup that restarts nothing.
    pub setup_type: Option<u32>,
    /// `CmdLine`: what runs at the next start.
    pub command_line: Option<String>,
    /// Answer files, in the order in which Setup looks for them.
    pub answer_files: Vec<AnswerFile>,
    /// `SetupComplete.cmd` and `ErrorHandler.cmd`, where they are.
    pub scripts: Vec<String>,
    /// What our `SetupComplete.cmd` runs.
    pub first_boot: Vec<String>,
    /// True when a package waits for the next start (`WinSxS\pending.xml`).
    pub pending: bool,
}

/// An answer file in the image.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize)]
#[serde(rename_all = "kebab-case")]
pub struct AnswerFile {
    /// Where it lies.
    pub path: String,
    /// Its size in bytes; `None` when the registry names it and it is not there.
    pub size: Option<u64>,
    /// Why Setup looks there.
    pub place: &'static str,
    /// True when the registry names it.
    #[serde(skip)]
    pub in_registry: bool,
}

/// How far the image is with Windows Setup.
///
/// # Errors
/// When a hive is damaged.
pub fn inventory(image: &mut Image) -> Result<SetupState, ImageError> {
    let mut state = SetupState::default();
    if image.has_hive(HiveId::Software) {
        let setup = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Setup";
        state.image_state = text(image, &format!(r"{setup}\State"), "ImageState")?;
        state.servicing_state = text(image, &format!(r"{setup}\ImageServicingData"), "ImageState")?;
    }
    if image.has_hive(HiveId::System) {
        let setup = r"HKLM\SYSTEM\Setup";
        state.setup_in_progress = number(image, setup, "SystemSetupInProgress")?;
        state.oobe_in_progress = number(image, setup, "OOBEInProgress")?;
        state.setup_type = number(image, setup, "SetupType")?;
        state.command_line = text(image, setup, "CmdLine")?;
        let sysprep = r"HKLM\SYSTEM\Setup\Status\SysprepStatus";
        state.generalization_state = number(image, sysprep, "GeneralizationState")?;
    }
    let root = image.system_root().to_string();
    let file = NtPath::parse(&format!(r"\{root}\Setup\State\State.ini")).ok();
    state.state_file = file.and_then(|path| state_of(&image.read(&path).ok()?));
    state.answer_files = answer_files(image, None)?;
    for name in ["SetupComplete.cmd", "ErrorHandler.cmd"] {
        let path = format!(r"\{root}\Setup\Scripts\{name}");
        if size_of(image, &path).is_some() {
            state.scripts.push(path);
        }
    }
    state.first_boot = first_boot::chained(image)?;
    state.pending = size_of(image, &format!(r"\{root}\WinSxS\pending.xml")).is_some();
    Ok(state)
}

/// The answer files of the image that Setup would take before one at `path`.
///
/// # Errors
/// When the SYSTEM hive is damaged.
pub(super) fn answer_files_before(
    image: &mut Image,
    path: &NtPath,
) -> Result<Vec<AnswerFile>, ImageError> {
    answer_files(image, Some(path))
}

/// The answer files of the image, in the order in which Setup looks for them, as far as `end`.
fn answer_files(image: &mut Image, end: Option<&NtPath>) -> Result<Vec<AnswerFile>, ImageError> {
    let is_end = |path: &str| {
        let path = NtPath::parse(path).ok();
        end.zip(path.as_ref()).is_some_and(|(end, path)| {
            let mut names = end.names().iter().zip(path.names());
            end.names().len() == path.names().len()
                && names.all(|(one, other)| one.eq_ignore_case(other))
        })
    };
    let mut found = Vec::new();
    let named = match image.has_hive(HiveId::System) {
        true => text(image, r"HKLM\SYSTEM\Setup", "UnattendFile")?,
        false => None,
    };
    if let Some(path) = named {
        if is_end(&path) {
            return Ok(found);
        }
        let (size, place) = (size_of(image, &path), "SYSTEM\\Setup names it");
        found.push(AnswerFile { path, size, place, in_registry: true });
    }
    let root = image.system_root().to_string();
    let places = [
        (format!(r"\{root}\Panther\Unattend"), "looked for first of all folders"),
        (format!(r"\{root}\Panther"), "where Setup keeps its copy"),
        (format!(r"\{root}\System32\Sysprep"), "of sysprep"),
        (String::new(), "the drive's root"),
        (r"\Sources".to_owned(), "of the medium, in a Windows PE"),
    ];
    for (folder, place) in places {
        for name in ["unattend.xml", "autounattend.xml"] {
            let path = format!(r"{folder}\{name}");
            if is_end(&path) {
                return Ok(found);
            }
            if let Some(size) = size_of(image, &path) {
                found.push(AnswerFile { path, size: Some(size), place, in_registry: false });
            }
        }
    }
    Ok(found)
}

/// The size of a file; `None` for a folder, and when nothing is there.
fn size_of(image: &Image, path: &str) -> Option<u64> {
    let node = image.tree().lookup(&NtPath::parse(path).ok()?)?;
    let inode = image.tree().inode(node);
    (!inode.is_directory()).then(|| inode.data().size)
}

/// The state in a `State.ini`, which is text in UTF-16 or ANSI.
fn state_of(bytes: &[u8]) -> Option<String> {
    let text = encoding_rs::UTF_8.decode(bytes).0;
    text.lines().find_map(|line| {
        let (key, value) = line.split_once('=')?;
        key.trim().eq_ignore_ascii_case("ImageState").then(|| value.trim().to_owned())
    })
}

fn value(
    image: &mut Image,
    key: &str,
    name: &str,
) -> Result<Option<crate::format::hive::Value>, ImageError> {
    let key = RegistryPath::parse(key).expect("a constant path");
    image.registry_value(&key, &Name::from(name))
}

fn text(image: &mut Image, key: &str, name: &str) -> Result<Option<String>, ImageError> {
    Ok(value(image, key, name)?.and_then(|value| value.as_text()).filter(|text| !text.is_empty()))
}

fn number(image: &mut Image, key: &str, name: &str) -> Result<Option<u32>, ImageError> {
    Ok(value(image, key, name)?.and_then(|value| value.as_dword()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_state_file_is_read_in_either_encoding() {
        let text = "[State]\r\nImageState=IMAGE_STATE_COMPLETE\r\n";
        let utf16: Vec<u8> =
            std::iter::once(0xfeff).chain(text.encode_utf16()).flat_map(u16::to_le_bytes).collect();
        for bytes in [text.as_bytes(), &utf16] {
            assert_eq!(state_of(bytes).as_deref(), Some("IMAGE_STATE_COMPLETE"));
        }
        assert_eq!(state_of(b"[State]"), None);
    }
}
