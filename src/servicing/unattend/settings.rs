//! Settings of the pass `offlineServicing` that are values in the registry.
//!
//! Windows knows the places from its components' manifests (`configurationSchema`, `wcm:handler`); here they are a table, and what is not in it is looked
//! for in the image's own manifests ([`super::handlers`]). Where each is known from: the
//! manifest of Microsoft-Windows-Shell-Setup of build 22621 ([`Known::Manifest`]), real hives of build 19041 that hold the value ([`Known::Hive`]),
//! Microsoft's public reference ([`Known::Reference`]). What is [`Known::Inferred`] was never compared with what Windows writes.

use crate::{
    base::secret::{SecretRef, is_free_of_placeholders},
    image::ImageFacts,
    servicing::registry::ValueAction,
};

/// The component whose paths are drivers to install.
pub(super) const DRIVERS: &str = "Microsoft-Windows-PnpCustomizationsNonWinPE";

const REG_SZ: u32 = 1;
const REG_DWORD: u32 = 4;

/// How it is known where a setting lies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Known {
    /// The component's own manifest says it.
    Manifest,
    /// A real hive has it there.
    Hive,
    /// Microsoft's reference says it.
    Reference,
    /// From what its neighbours do; not proven on Windows.
    Inferred,
}

/// What may stand in a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    /// `true` or `false`: 1 or 0.
    Boolean,
    /// One of these numbers.
    Number(&'static [u32]),
    /// A number between these.
    Range(u32, u32),
    /// A text of at most so many characters.
    Text(usize),
}

/// Where a setting lies.
#[derive(Debug)]
pub(super) struct Setting {
    pub(super) component: &'static str,
    pub(super) path: &'static str,
    key: &'static str,
    value: &'static str,
    kind: Kind,
    #[cfg_attr(
        not(test),
        expect(dead_code, reason = "for readers and tests: what is inferred is said to be so")
    )]
    pub(super) known: Known,
}

const fn row(
    component: &'static str,
    path: &'static str,
    key: &'static str,
    value: &'static str,
    kind: Kind,
    known: Known,
) -> Setting {
    Setting { component, path, key, value, kind, known }
}

const SHELL: &str = "Microsoft-Windows-Shell-Setup";
const GUARD: &str = "Microsoft-Windows-DeviceGuard-Unattend";
const DEFENDER: &str = "Security-Malware-Windows-Defender";
const JOIN: &str = "Microsoft-Windows-UnattendedJoin";
const OEM: &str = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\OEMInformation";
const NT: &str = r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion";
const IMMERSIVE: &str = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\ImmersiveShell";
const ADVANCED: &str = r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Explorer\Advanced";
const DESKTOP: &str =
    r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Explorer\DesktopOptimization";
const DEVICE_GUARD: &str = r"HKLM\SYSTEM\CurrentControlSet\Control\DeviceGuard";
const WINDOWS_DEFENDER: &str = r"HKLM\SOFTWARE\Microsoft\Windows Defender";
const DEFENDER_SCAN: &str = r"HKLM\SOFTWARE\Microsoft\Windows Defender\Scan";

/// Every setting that is applied, by component.
#[rustfmt::skip]
pub(super) static SETTINGS: &[Setting] = &[
    row("Microsoft-Windows-LUA-Settings", "EnableLUA", r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Policies\System", "EnableLUA", Kind::Boolean, Known::Reference),
    row(SHELL, "RegisteredOwner", NT, "RegisteredOwner", Kind::Text(256), Known::Manifest),
    row(SHELL, "RegisteredOrganization", NT, "RegisteredOrganization", Kind::Text(256), Known::Manifest),
    row(SHELL, "OEMInformation/Manufacturer", OEM, "Manufacturer", Kind::Text(256), Known::Manifest),
    row(SHELL, "OEMInformation/Model", OEM, "Model", Kind::Text(256), Known::Manifest),
    row(SHELL, "OEMInformation/Logo", OEM, "Logo", Kind::Text(259), Known::Manifest),
    row(SHELL, "OEMInformation/SupportPhone", OEM, "SupportPhone", Kind::Text(256), Known::Manifest),
    row(SHELL, "OEMInformation/SupportHours", OEM, "SupportHours", Kind::Text(256), Known::Manifest),
    row(SHELL, "OEMInformation/SupportURL", OEM, "SupportURL", Kind::Text(2083), Known::Manifest),
    row(SHELL, "OEMInformation/SupportAppURL", OEM, "SupportAppURL", Kind::Text(2083), Known::Manifest),
    row(SHELL, "OEMInformation/SupportProvider", OEM, "SupportProvider", Kind::Text(256), Known::Manifest),
    row(SHELL, "OEMInformation/TradeInURL", OEM, "TradeInURL", Kind::Text(2083), Known::Manifest),
    row(SHELL, "OEMInformation/RecycleURL", OEM, "RecycleURL", Kind::Text(2083), Known::Manifest),
    row(SHELL, "OEMInformation/HelpCustomized", OEM, "HelpCustomized", Kind::Boolean, Known::Inferred),
    row(SHELL, "SignInMode", IMMERSIVE, "SignInMode", Kind::Number(&[0, 1, 2]), Known::Manifest),
    row(SHELL, "ConvertibleSlateModePromptPreference", IMMERSIVE, "ConvertibleSlateModePromptPreference", Kind::Number(&[0, 1]), Known::Manifest),
    row(SHELL, "BluetoothTaskbarIconEnabled", r"HKLM\SOFTWARE\Microsoft\Windows\CurrentVersion\Control Panel\Settings\Bluetooth", "Notification Area Icon", Kind::Boolean, Known::Inferred),
    row(SHELL, "SearchBoxVisibleInTouchImprovement", ADVANCED, "SearchBoxVisibleInTouchImprovement", Kind::Boolean, Known::Inferred),
    row(SHELL, "AppIconInTouchImprovement", ADVANCED, "AppIconInTouchImprovement", Kind::Boolean, Known::Inferred),
    row(SHELL, "FileExplorerInTouchImprovement", ADVANCED, "FileExplorerInTouchImprovement", Kind::Boolean, Known::Inferred),
    row(SHELL, "DesktopOptimization/GoToDesktopOnSignIn", DESKTOP, "GoToDesktopOnSignIn", Kind::Boolean, Known::Inferred),
    row(SHELL, "DesktopOptimization/ShowWindowsStoreAppsOnTaskbar", DESKTOP, "ShowWindowsStoreAppsOnTaskbar", Kind::Boolean, Known::Inferred),
    row("Microsoft-Windows-GPIOButtons", "ConvertibleSlateMode", r"HKLM\SYSTEM\CurrentControlSet\Control\PriorityControl", "ConvertibleSlateMode", Kind::Number(&[0, 1]), Known::Hive),
    row("Microsoft-Windows-PartitionManager", "SanPolicy", r"HKLM\SYSTEM\CurrentControlSet\Services\partmgr\Parameters", "SanPolicy", Kind::Number(&[1, 2, 3, 4]), Known::Hive),
    row("Microsoft-Windows-TerminalServices-LocalSessionManager", "fDenyTSConnections", r"HKLM\SYSTEM\CurrentControlSet\Control\Terminal Server", "fDenyTSConnections", Kind::Boolean, Known::Hive),
    row("Microsoft-Windows-TerminalServices-RemoteConnectionManager", "LicensingMode", r"HKLM\SYSTEM\CurrentControlSet\Control\Terminal Server\RCM\Licensing Core", "LicensingMode", Kind::Number(&[2, 4, 5]), Known::Hive),
    row("Microsoft-Windows-TerminalServices-Publishing-WMIProvider", "fDisabledAllowList", r"HKLM\SOFTWARE\Microsoft\Windows NT\CurrentVersion\Terminal Server\TSAppAllowList", "fDisabledAllowList", Kind::Number(&[0, 1]), Known::Reference),
    row(GUARD, "EnableVirtualizationBasedSecurity", DEVICE_GUARD, "EnableVirtualizationBasedSecurity", Kind::Number(&[0, 1]), Known::Reference),
    row(GUARD, "HypervisorEnforcedCodeIntegrity", DEVICE_GUARD, "HypervisorEnforcedCodeIntegrity", Kind::Number(&[0, 1]), Known::Reference),
    row(GUARD, "LsaCfgFlags", r"HKLM\SYSTEM\CurrentControlSet\Control\Lsa", "LsaCfgFlags", Kind::Number(&[0, 1, 2]), Known::Reference),
    row("Microsoft-Windows-CodeIntegrity", "SKUPolicyRequired", r"HKLM\SYSTEM\CurrentControlSet\Control\CI\Policy", "SkuPolicyRequired", Kind::Number(&[0, 1]), Known::Hive),
    row("Microsoft-Windows-SecureStartup-FilterDriver", "PreventDeviceEncryption", r"HKLM\SYSTEM\CurrentControlSet\Control\BitLocker", "PreventDeviceEncryption", Kind::Boolean, Known::Reference),
    row(DEFENDER, "DisableAntiSpyware", WINDOWS_DEFENDER, "DisableAntiSpyware", Kind::Boolean, Known::Inferred),
    row(DEFENDER, "TrustedImageIdentifier", WINDOWS_DEFENDER, "TrustedImageIdentifier", Kind::Text(256), Known::Inferred),
    row(DEFENDER, "Scan/ScanParameters", DEFENDER_SCAN, "ScanParameters", Kind::Number(&[1, 2]), Known::Inferred),
    row(DEFENDER, "Scan/ScheduleDay", DEFENDER_SCAN, "ScheduleDay", Kind::Range(0, 8), Known::Inferred),
    row(DEFENDER, "Scan/ScheduleTime", DEFENDER_SCAN, "ScheduleTime", Kind::Range(0, 1440), Known::Inferred),
    row(DEFENDER, "SignatureUpdateInterval", r"HKLM\SOFTWARE\Microsoft\Windows Defender\Signature Updates", "SignatureUpdateInterval", Kind::Range(1, 24), Known::Inferred),
];

/// Why a setting is not applied.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Refusal {
    pub(super) cause: String,
    pub(super) help: String,
    /// True when the table does not know the setting: the image's own manifests may.
    pub(super) unknown: bool,
}

impl Refusal {
    fn new(cause: impl Into<String>, help: impl Into<String>) -> Self {
        Self { cause: cause.into(), help: help.into(), unknown: false }
    }

    /// A value that the setting cannot have.
    pub(super) fn wrong(text: &str, help: String) -> Self {
        Self::new(format!("`{text}` is not its value"), help)
    }
}

/// Values of a key, each with its state.
type Values = Vec<(&'static str, ValueAction)>;

/// The keys and values that a setting of a component is.
pub(super) fn keys(
    component: &str,
    path: &str,
    text: &str,
    facts: &ImageFacts,
) -> Result<Vec<(String, Values)>, Refusal> {
    let of = |known: &&Setting| known.component.eq_ignore_ascii_case(component);
    if component.eq_ignore_ascii_case(SHELL) && path == "ComputerName" {
        return computer_name(text, facts);
    }
    let Some(setting) = SETTINGS.iter().filter(of).find(|known| known.path == path) else {
        return Err(unknown(component, path));
    };
    let refuse = |expected: String| Refusal::wrong(text, expected);
    let number =
        |number: u32| ValueAction::Set { kind: REG_DWORD, data: number.to_le_bytes().to_vec() };
    if !matches!(setting.kind, Kind::Text(_)) && !is_free_of_placeholders(text) {
        return Err(no_secret());
    }
    let parsed = text.parse::<u32>().ok();
    let action = match setting.kind {
        Kind::Boolean => number(u32::from(
            boolean(text).ok_or_else(|| refuse("write true or false".to_owned()))?,
        )),
        Kind::Number(allowed) => {
            let all: Vec<String> = allowed.iter().map(ToString::to_string).collect();
            let found = parsed.filter(|number| allowed.contains(number));
            number(found.ok_or_else(|| refuse(format!("write one of {}", all.join(", "))))?)
        }
        Kind::Range(least, most) => {
            let found = parsed.filter(|number| (least..=most).contains(number));
            number(found.ok_or_else(|| refuse(format!("write a number from {least} to {most}")))?)
        }
        Kind::Text(most) if text.encode_utf16().count() > most => {
            let cause = format!("it has more than {most} characters");
            return Err(Refusal::new(cause, "shorten it"));
        }
        Kind::Text(_) => text_action(REG_SZ, text)?,
    };
    Ok(vec![(setting.key.to_owned(), vec![(setting.value, action)])])
}

/// `true`, `false`, and the numbers that XML allows for them.
pub(super) fn boolean(text: &str) -> Option<bool> {
    match text.trim().to_ascii_lowercase().as_str() {
        "true" | "1" => Some(true),
        "false" | "0" => Some(false),
        _ => None,
    }
}

/// The name of the computer lies in three values. Setup gives a generalized image another one, whatever they say. Inferred from real hives.
fn computer_name(text: &str, facts: &ImageFacts) -> Result<Vec<(String, Values)>, Refusal> {
    let refuse = |cause: &str, help: &str| Refusal::new(cause, help);
    let specialize = "put ComputerName into the pass `specialize`, where Setup reads it";
    if facts.image_state.as_deref().is_some_and(|state| state.contains("GENERALIZE")) {
        let cause = "the image is generalized: Setup gives it another name at its first boot";
        return Err(refuse(cause, specialize));
    }
    if text.is_empty() || text == "*" {
        return Err(refuse("a random name cannot be given here", specialize));
    }
    let is_bad = |c: char| {
        c.is_whitespace() || c.is_control() || "{|}~[\\]^':;<=>?@!\"#$%`()+/.,*&".contains(c)
    };
    if text.len() > 15 || text.contains(is_bad) || text.bytes().all(|byte| byte.is_ascii_digit()) {
        let help =
            "a computer's name has at most 15 bytes, is no number, and has letters, digits and `-`";
        return Err(refuse(&format!("`{text}` is not a name of a computer"), help));
    }
    let action = text_action(REG_SZ, text)?;
    let value = |name| (name, action.clone());
    Ok(vec![
        (
            r"HKLM\SYSTEM\CurrentControlSet\Control\ComputerName\ComputerName".to_owned(),
            vec![value("ComputerName")],
        ),
        (
            r"HKLM\SYSTEM\CurrentControlSet\Services\Tcpip\Parameters".to_owned(),
            vec![value("Hostname"), value("NV Hostname")],
        ),
    ])
}

fn unknown(component: &str, path: &str) -> Refusal {
    let cause =
        "it is not known where this setting of the pass `offlineServicing` lies in an image";
    if component.eq_ignore_ascii_case(SHELL) && path.starts_with("OfflineUserAccounts") {
        return Refusal::new(
            cause,
            "accounts are made by Setup: use UserAccounts in the pass `oobeSystem`",
        );
    }
    if component.eq_ignore_ascii_case(JOIN) {
        let help = "joining a domain is done by Setup: use Identification/Provisioning in the pass `specialize`";
        return Refusal::new(cause, help);
    }
    let of = |known: &&Setting| known.component.eq_ignore_ascii_case(component);
    let known: Vec<&str> = SETTINGS.iter().filter(of).map(|known| known.path).collect();
    let others = match known.is_empty() {
        true => String::new(),
        false => format!("; of this component these are applied: {}", known.join(", ")),
    };
    let help = format!(
        "write it as [registry], move it to a pass that Setup reads, or apply the file with DISM /Apply-Unattend to the built image{others}"
    );
    Refusal { unknown: true, ..Refusal::new(cause, help) }
}

/// A text in the registry: UTF-16 with a NUL at the end, or a secret.
pub(super) fn text_action(kind: u32, text: &str) -> Result<ValueAction, Refusal> {
    if is_free_of_placeholders(text) {
        let data = text.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        return Ok(ValueAction::Set { kind, data });
    }
    match SecretRef::of_placeholder(text) {
        Some((secret, _)) if kind == REG_SZ => Ok(ValueAction::Secret(secret)),
        _ => Err(no_secret()),
    }
}

fn no_secret() -> Refusal {
    Refusal::new("a secret cannot stand here", "write the value itself")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{base::secret::SecretForm, image::RegistryPath};

    #[test]
    fn every_row_is_a_place_and_stands_once() {
        let mut seen = std::collections::BTreeSet::new();
        for row in SETTINGS {
            RegistryPath::parse(row.key).unwrap();
            assert!(seen.insert((row.component, row.path)), "{} {}", row.component, row.path);
        }
        // What is inferred is named in the README.
        let inferred = SETTINGS.iter().filter(|row| row.known == Known::Inferred);
        let readme = include_str!("../../../README.md");
        for row in inferred {
            let name = row.path.rsplit('/').next().unwrap_or_default();
            assert!(
                readme.contains(name),
                "{} {} is inferred: README.md must say so",
                row.component,
                row.path
            );
        }
    }

    #[test]
    fn values_are_checked_and_written_by_their_type() {
        let facts = ImageFacts::default();
        let one = |component: &str, path: &str, text: &str| {
            keys(component, path, text, &facts).map(|keys| match &keys[0].1[0].1 {
                ValueAction::Set { data, .. } => data.clone(),
                other => panic!("{other:?}"),
            })
        };
        let lua = "microsoft-windows-lua-settings";
        assert_eq!(one(lua, "EnableLUA", "false").unwrap(), [0, 0, 0, 0]);
        assert_eq!(one(lua, "EnableLUA", "TRUE").unwrap(), [1, 0, 0, 0]);
        assert_eq!(one(SHELL, "RegisteredOwner", "me").unwrap(), *b"m\0e\0\0\0");
        for (component, path, text, help) in [
            (lua, "EnableLUA", "yes", "write true or false"),
            ("Microsoft-Windows-PartitionManager", "SanPolicy", "9", "write one of 1, 2, 3, 4"),
            (DEFENDER, "Scan/ScheduleDay", "9", "write a number from 0 to 8"),
            (SHELL, "ComputerName", "*", "put ComputerName into the pass `specialize`"),
            (SHELL, "ComputerName", "12345", "a computer's name has at most 15 bytes"),
            (SHELL, "OfflineUserAccounts/A/B", "", "accounts are made by Setup"),
            (JOIN, "OfflineIdentification/Provisioning/AccountData", "x", "joining a domain"),
            (GUARD, "Other", "1", "of this component these are applied: EnableVirtualization"),
            ("Microsoft-Windows-Unknown", "Other", "1", "write it as [registry]"),
        ] {
            let refusal = one(component, path, text).unwrap_err();
            assert!(refusal.help.starts_with(help) || refusal.help.contains(help), "{refusal:?}");
        }
        let secret = SecretRef::new("OWNER").unwrap();
        let placeholder = secret.placeholder(&SecretForm::Xml);
        let owner = keys(SHELL, "RegisteredOwner", &placeholder, &facts).unwrap();
        assert_eq!(owner[0].1, [("RegisteredOwner", ValueAction::Secret(secret))]);
        for (path, text) in [
            ("SignInMode", &placeholder),
            ("ComputerName", &placeholder),
            ("RegisteredOwner", &format!("x{placeholder}")),
        ] {
            assert!(keys(SHELL, path, text, &facts).is_err(), "{path}");
        }
        let generalized = ImageFacts {
            image_state: Some("IMAGE_STATE_GENERALIZE_RESEAL_TO_OOBE".into()),
            ..facts.clone()
        };
        assert!(keys(SHELL, "ComputerName", "pc", &generalized).is_err());
        assert_eq!(keys(SHELL, "ComputerName", "pc", &facts).unwrap().len(), 2);
    }
}
