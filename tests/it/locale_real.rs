//! `[locale]` on real hives: what Windows wrote for a zone is what we write for it, and English on an English hive is nothing to do.

use std::collections::BTreeMap;

use transom::{
    base::limits::Limits,
    format::hive::{Hive, Value},
    image::{Image, RegistryPath},
    servicing::locale::{self, LocaleSpec},
};

use crate::{
    locale_fixture::{NTUSER, SYSTEM, image_of, run, software, tzi},
    support,
};

const ZONE: &str = r"HKLM\SYSTEM\CurrentControlSet\Control\TimeZoneInformation";

/// The real SYSTEM hives: name, its logs, the build.
const HIVES: [(&str, &[&str], u32); 3] = [
    ("SYSTEM_win10_19041", &[], 19041),
    (
        "SYSTEM_win10_16299_dirty",
        &["SYSTEM_win10_16299_dirty.LOG1", "SYSTEM_win10_16299_dirty.LOG2"],
        16299,
    ),
    ("SYSTEM_win81_dirty", &[], 9600),
];

fn real(name: &str) -> Option<Vec<u8>> {
    support::unpack_xz(&support::shared_data(&format!("hives/{name}.xz"))?)
}

/// A hive whose log files nobody kept, as its last clean state: what is read here was not being written then.
fn without_logs(mut hive: Vec<u8>) -> Vec<u8> {
    hive.copy_within(4..8, 8);
    let words =
        hive[..508].chunks_exact(4).map(|word| u32::from_le_bytes(word.try_into().unwrap()));
    let sum = words.fold(0, |sum, word| sum ^ word);
    hive[508..512].copy_from_slice(&sum.to_le_bytes());
    hive
}

fn values(image: &mut Image, key: &str) -> BTreeMap<String, Value> {
    let values = image.registry_values(&RegistryPath::parse(key).unwrap()).unwrap();
    values.into_iter().map(|value| (value.name.to_string(), value)).collect()
}

/// `TZI` as the image's own list must have had it, from what Windows made of it.
fn list_entry(zone: &BTreeMap<String, Value>) -> Vec<u8> {
    let number = |name: &str| zone[name].as_dword().unwrap().to_le_bytes().to_vec();
    let start = |name: &str| {
        let data = &zone[name].data;
        assert_eq!(data.len(), 16);
        // The day of week is the third in a SYSTEMTIME, and the last here.
        [&data[..4], &data[14..16], &data[4..14]].concat()
    };
    [
        number("Bias"),
        number("StandardBias"),
        number("DaylightBias"),
        start("StandardStart"),
        start("DaylightStart"),
    ]
    .concat()
}

/// The real hive with a list of time zones that has its own one and another.
fn image(name: &str, logs: &[&str], build: u32) -> Option<Image> {
    let system = real(name)?;
    let system = if logs.is_empty() { without_logs(system) } else { system };
    let mut hives = vec![(SYSTEM.to_owned(), system)];
    for log in logs {
        let number = log.chars().last()?;
        hives.push((format!("{SYSTEM}.LOG{number}"), real(log)?));
    }
    let borrowed = |extra: Vec<u8>, hives: &[(String, Vec<u8>)]| -> Vec<(&'static str, Vec<u8>)> {
        let mut all = vec![(r"\Windows\System32\config\SOFTWARE", extra)];
        for (place, bytes) in hives {
            let place: &'static str = Box::leak(place.clone().into_boxed_str());
            all.push((place, bytes.clone()));
        }
        all
    };
    let mut probe = image_of(&borrowed(software(build, Vec::new()), &hives));
    let zone = values(&mut probe, ZONE);
    let own = zone["TimeZoneKeyName"].as_text().unwrap();
    let list = |name: &str| format!(r"Microsoft\Windows NT\CurrentVersion\Time Zones\{name}");
    let text = |to: &str, from: &str| Value::sz(to, &zone[from].as_text().unwrap());
    let zones = vec![
        (
            list(&own),
            vec![
                text("MUI_Std", "StandardName"),
                text("MUI_Dlt", "DaylightName"),
                Value::binary("TZI", list_entry(&zone)),
            ],
        ),
        (
            list("Other Time"),
            vec![Value::sz("Std", "a"), Value::binary("TZI", tzi(77, [9; 8], [7; 8]))],
        ),
    ];
    Some(image_of(&borrowed(software(build, zones), &hives)))
}

fn zone(name: &str) -> LocaleSpec {
    LocaleSpec { timezone: Some(name.to_owned()), ..LocaleSpec::default() }
}

#[test]
fn a_zone_is_written_as_windows_wrote_it() {
    for (name, logs, build) in HIVES {
        let Some(mut image) = image(name, logs, build) else { return };
        let real = values(&mut image, ZONE);
        let own = real["TimeZoneKeyName"].as_text().unwrap();
        assert_eq!(run(&mut image, &zone(&own)).unwrap(), 0, "{name} is set to it already");
        assert!(run(&mut image, &zone("Other Time")).unwrap() >= 6, "{name}");
        run(&mut image, &zone(&own)).unwrap();
        let mut written = values(&mut image, ZONE);
        // The bias in force is the clock's, which made it daylight time in two of them; without a clock it is standard time.
        let bias = |values: &BTreeMap<String, Value>, name: &str| {
            values[name].as_dword().unwrap().cast_signed()
        };
        let standard = bias(&real, "Bias") + bias(&real, "StandardBias");
        assert_eq!(bias(&written, "ActiveTimeBias"), standard, "{name}");
        let daylight = bias(&real, "Bias") + bias(&real, "DaylightBias");
        assert!([standard, daylight].contains(&bias(&real, "ActiveTimeBias")));
        written.insert("ActiveTimeBias".to_owned(), real["ActiveTimeBias"].clone());
        assert_eq!(written, real, "{name}");
    }
}

#[test]
fn english_on_an_english_hive_is_nothing_to_do() {
    for (name, logs, build) in HIVES {
        let Some(mut image) = image(name, logs, build) else { return };
        let Some(user) = real("NTUSER.DAT") else { return };
        let place = crate::image_fixture::path(NTUSER);
        image.put_bytes(&place, user, &transom::image::NewNode::default()).unwrap();
        let spec = LocaleSpec {
            all: Some("en-US".to_owned()),
            // What Windows 10 has; 8.1 has it too.
            layered_driver: Some(1),
            ..LocaleSpec::default()
        };
        assert_eq!(run(&mut image, &spec).unwrap(), 0, "{name}");
        let state = locale::inventory(&mut image).unwrap();
        assert_eq!(state.ui_language.as_deref(), Some("en-US"), "{name}");
        assert_eq!(state.system_locale.as_deref(), Some("en-US"));
        assert_eq!(state.user_locale.as_deref(), Some("en-US"));
        let location = state.location.unwrap();
        assert_eq!((location.geoid, location.name.as_deref()), (244, Some("United States")));
        let keyboards: Vec<(&str, Option<&str>)> = state
            .keyboards
            .iter()
            .map(|keyboard| (keyboard.identifier.as_str(), keyboard.layout.as_deref()))
            .collect();
        assert_eq!(keyboards, [("0409:00000409", Some("US"))]);
        let driver = state.layered_driver.unwrap();
        assert_eq!(driver.name, "PC/AT Enhanced Keyboard (101/102-Key)");
        let languages: Vec<(&str, &str)> =
            state.languages.iter().map(|l| (l.tag.as_str(), l.kind.text())).collect();
        assert_eq!(languages, [("en-US", "Fully localized language.")]);
    }
}

/// Every text of the tables that Windows checks itself: the hive's lists of locales and layouts.
#[test]
fn the_tables_fit_the_lists_of_a_real_hive() {
    let (name, logs, build) = HIVES[0];
    let Some(mut image) = image(name, logs, build) else { return };
    let control = r"HKLM\SYSTEM\CurrentControlSet\Control";
    let known = values(&mut image, &format!(r"{control}\Nls\Locale"));
    let layouts: Vec<String> = image
        .registry_subkeys(&RegistryPath::parse(&format!(r"{control}\Keyboard Layouts")).unwrap())
        .unwrap()
        .iter()
        .map(|name| name.to_string().to_lowercase())
        .collect();
    let pages = values(&mut image, &format!(r"{control}\Nls\CodePage"));
    let mut missing = Vec::new();
    for locale in locale::tables::locales() {
        if !known.keys().any(|name| name.eq_ignore_ascii_case(&format!("{:08x}", locale.lcid))) {
            missing.push(locale.tag);
        }
        for keyboard in &locale.keyboards {
            if let locale::keyboard::KeyboardKind::Layout(layout) = keyboard.kind {
                assert!(layouts.contains(&format!("{layout:08x}")), "{} {keyboard}", locale.tag);
            }
        }
        if let Some(found) = locale.code_pages {
            for page in [found.ansi, found.oem, found.mac] {
                assert!(pages.contains_key(&page.to_string()), "{} {page}", locale.tag);
            }
        }
    }
    assert_eq!(missing, Vec::<&str>::new());
}

#[test]
fn another_system_locale_changes_its_values_and_no_others() {
    let (name, logs, build) = HIVES[0];
    let Some(mut image) = image(name, logs, build) else { return };
    let spec = LocaleSpec { system: Some("pl-PL".to_owned()), ..LocaleSpec::default() };
    image.begin_step();
    let operation = transom::servicing::Operation::Locale(spec);
    operation.apply(&transom::servicing::Prepared::Nothing, &mut image).unwrap();
    let changes = image.end_step();
    let lines: Vec<String> = changes
        .0
        .iter()
        .map(|change| match change {
            transom::image::Change::SetValue { key, name, data, .. } => {
                let value =
                    Value::new(name.clone(), transom::format::hive::ValueType::SZ, data.clone());
                let key = key.last().unwrap();
                format!("{key}!{name}={}", value.as_text().unwrap())
            }
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        lines,
        [
            "Language!Default=0415",
            "Locale!=00000415",
            "Locale!(Default)=00000415",
            "CodePage!ACP=1250",
            "CodePage!OEMCP=852",
            "CodePage!MACCP=10029",
        ]
    );
    let place = crate::image_fixture::path(SYSTEM);
    let folder = support::temporary_folder();
    let wim =
        crate::image_fixture::save(image.finish().unwrap(), None, &folder.path().join("a.wim"));
    let bytes = crate::image_fixture::open(&wim).read(&place).unwrap();
    assert_eq!(Hive::parse(bytes, &Limits::default()).unwrap().check(), []);
}
