//! Images for the tests of `[locale]`: hives made for it, steps on them, and what hivexregedit reads then.

use std::collections::{BTreeMap, BTreeSet};

use transom::{
    base::limits::Limits,
    format::{
        hive::{Hive, Value},
        reg_text::{self, RegAction},
    },
    image::{Image, NewNode},
    servicing::{Operation, Prepared, ServicingError, locale::LocaleSpec},
};

use crate::{
    image_fixture::{BASE_TIME, EPOCH, hive, path},
    support,
};

pub(crate) const SYSTEM: &str = r"\Windows\System32\config\SYSTEM";
pub(crate) const SOFTWARE: &str = r"\Windows\System32\config\SOFTWARE";
pub(crate) const DEFAULT: &str = r"\Windows\System32\config\DEFAULT";
pub(crate) const NTUSER: &str = r"\Users\Default\NTUSER.DAT";
pub(crate) const CONTROL: &str = r"ControlSet001\Control";

/// `TZI` from fields as SYSTEMTIME has them.
pub(crate) fn tzi(bias: i32, standard: [u16; 8], daylight: [u16; 8]) -> Vec<u8> {
    let mut bytes: Vec<u8> = [bias, 0, -60].iter().flat_map(|n| n.to_le_bytes()).collect();
    bytes.extend(standard.iter().chain(&daylight).flat_map(|n| n.to_le_bytes()));
    bytes
}

pub(crate) fn zones() -> Vec<(String, Vec<Value>)> {
    let zone = |name: &str, number: u32, tzi: Vec<u8>| {
        let key = format!(r"Microsoft\Windows NT\CurrentVersion\Time Zones\{name}");
        let values = vec![
            Value::sz("Dlt", "Daylight"),
            Value::sz("MUI_Dlt", &format!("@tzres.dll,-{}", number + 1)),
            Value::sz("MUI_Std", &format!("@tzres.dll,-{}", number + 2)),
            Value::sz("Std", "Standard"),
            Value::binary("TZI", tzi),
        ];
        (key, values)
    };
    let (spring, autumn) = ([0, 3, 0, 5, 2, 0, 0, 0], [0, 10, 0, 5, 3, 0, 0, 0]);
    let never = [0; 8];
    let custom = r"Microsoft\Windows NT\CurrentVersion\Time Zones\Home Time";
    vec![
        zone("W. Europe Standard Time", 320, tzi(-60, autumn, spring)),
        zone(
            "Pacific Standard Time",
            210,
            tzi(480, [0, 11, 0, 1, 2, 0, 0, 0], [0, 3, 0, 2, 2, 0, 0, 0]),
        ),
        zone("GMT Standard Time", 260, tzi(0, autumn, spring)),
        zone("Tokyo Standard Time", 630, tzi(-540, never, never)),
        zone("UTC", 930, tzi(0, never, never)),
        (
            custom.to_owned(),
            vec![
                Value::sz("Std", "Home"),
                Value::sz("Dlt", "Home, summer"),
                Value::binary("TZI", tzi(-30, never, never)),
            ],
        ),
        (
            r"Microsoft\Windows NT\CurrentVersion\Time Zones\Broken".to_owned(),
            vec![Value::binary("TZI", [1; 43])],
        ),
    ]
}

pub(crate) fn user(build: u32) -> Vec<(String, Vec<Value>)> {
    let international = r"Control Panel\International";
    let mut keys = vec![
        (
            international.to_owned(),
            vec![
                Value::sz("Locale", "00000409"),
                Value::sz("LocaleName", "en-US"),
                Value::sz("iCountry", "1"),
                Value::sz("iPaperSize", "9"),
                Value::sz("NumShape", "1"),
                Value::sz("sDecimal", "."),
                Value::sz("sLanguage", "ENU"),
                Value::sz("sShortDate", "yyyy-MM-dd"),
                Value::sz("Site", "mine"),
            ],
        ),
        (format!(r"{international}\Geo"), vec![Value::sz("Nation", "244")]),
        (r"Keyboard Layout\Preload".to_owned(), vec![Value::sz("1", "00000409")]),
        (r"Keyboard Layout\Substitutes".to_owned(), vec![]),
        (r"Control Panel\Desktop".to_owned(), vec![Value::sz("Wallpaper", "")]),
    ];
    if build >= 9200 {
        let profile = format!(r"{international}\User Profile");
        keys.push((profile.clone(), vec![Value::multi_sz("Languages", ["en-US"])]));
        keys.push((
            format!(r"{profile}\en-US"),
            vec![
                Value::dword("0409:00000409", 1),
                Value::sz("CachedLanguageName", "@Winlangdb.dll,-1121"),
            ],
        ));
    }
    keys
}

pub(crate) fn system(build: u32) -> Vec<(String, Vec<Value>)> {
    let control = |key: &str| format!(r"{CONTROL}\{key}");
    let full = if build < 9200 { 0x91 } else { 0x111 };
    let language = |tag: &str, lcid: u32, kind: u32| {
        let key = control(&format!(r"MUI\UILanguages\{tag}"));
        (key, vec![Value::dword("LCID", lcid), Value::dword("Type", kind)])
    };
    let layout = |id: &str, text: &str| {
        (control(&format!(r"Keyboard Layouts\{id}")), vec![Value::sz("Layout Text", text)])
    };
    let mut keys = vec![
        ("Select".to_owned(), vec![Value::dword("Current", 1)]),
        language("en-US", 0x409, full),
        language("de-DE", 0x407, full),
        language("ja-JP", 0x411, full),
        language("es-ES", 0xc0a, full),
        language("ca-ES", 0x403, 0x114),
        language("uk-UA", 0x422, 0x112),
        (control(r"MUI\Settings"), vec![]),
        (
            control(r"Nls\Language"),
            vec![Value::sz("Default", "0409"), Value::sz("InstallLanguage", "0409")],
        ),
        (
            control(r"Nls\Locale"),
            vec![Value::sz("", "00000409"), Value::sz("(Default)", "00000409")],
        ),
        (
            control(r"Nls\CodePage"),
            [("ACP", "1252"), ("MACCP", "10000"), ("OEMCP", "437"), ("OEMHAL", "vgaoem.fon")]
                .map(|(name, text)| Value::sz(name, text))
                .to_vec(),
        ),
        layout("00000407", "German"),
        layout("00010407", "German (IBM)"),
        layout("00000409", "US"),
        layout("00000411", "Japanese"),
        layout("00000419", "Russian"),
        (
            control("TimeZoneInformation"),
            vec![
                // What Windows 7 leaves behind the name's end.
                Value::new("TimeZoneKeyName", transom::format::hive::ValueType::SZ, {
                    let mut bytes: Vec<u8> =
                        "UTC\0junk".encode_utf16().flat_map(u16::to_le_bytes).collect();
                    bytes.resize(256, 7);
                    bytes
                }),
                Value::sz("StandardName", "@tzres.dll,-932"),
                Value::sz("DaylightName", "@tzres.dll,-931"),
                Value::dword("Bias", 0),
                Value::dword("StandardBias", 0),
                Value::dword("DaylightBias", (-60_i32).cast_unsigned()),
                Value::dword("ActiveTimeBias", 0),
                Value::dword("DynamicDaylightTimeDisabled", 0),
                Value::binary("StandardStart", [0; 16]),
                Value::binary("DaylightStart", [0; 16]),
            ],
        ),
        (
            r"ControlSet001\Services\i8042prt\Parameters".to_owned(),
            vec![
                Value::sz("LayerDriver JPN", "kbd101.dll"),
                Value::sz("LayerDriver KOR", "kbd101a.dll"),
            ],
        ),
    ];
    if build >= 9200 {
        let common = control(r"CommonGlobUserSettings\Control Panel\International");
        keys.push((
            common.clone(),
            vec![
                Value::sz("Locale", "00000409"),
                Value::sz("LocaleName", "en-US"),
                Value::sz("sTime", ":"),
            ],
        ));
        keys.push((format!(r"{common}\Geo"), vec![Value::sz("Nation", "244")]));
    }
    keys
}

pub(crate) const JAPANESE: (&str, &str) =
    ("{03B5835F-F03C-411B-9CE2-AA23E1171E36}", "{A76C93D9-5523-4E90-AAFA-4DB112F9AC76}");

pub(crate) fn hive_of(keys: &[(String, Vec<Value>)]) -> Vec<u8> {
    let keys: Vec<(&str, Vec<Value>)> =
        keys.iter().map(|(key, values)| (key.as_str(), values.clone())).collect();
    hive(&keys)
}

/// An image with these hives and nothing else.
pub(crate) fn image_of(hives: &[(&str, Vec<u8>)]) -> Image {
    let mut image = Image::empty(BASE_TIME);
    for (place, bytes) in hives {
        image.put_bytes(&path(place), bytes.clone(), &NewNode::default()).unwrap();
    }
    image.set_epoch(EPOCH);
    image
}

pub(crate) fn software(build: u32, extra: Vec<(String, Vec<Value>)>) -> Vec<u8> {
    let version = (
        r"Microsoft\Windows NT\CurrentVersion".to_owned(),
        vec![Value::sz("CurrentBuild", &build.to_string())],
    );
    hive_of(&[vec![version], extra].concat())
}

/// An English image of a build, with the Japanese input method.
pub(crate) fn english(build: u32) -> Image {
    let method =
        format!(r"Microsoft\CTF\TIP\{}\LanguageProfile\0x00000411\{}", JAPANESE.0, JAPANESE.1);
    let extra = [zones(), vec![(method, vec![])]].concat();
    image_of(&[
        (SYSTEM, hive_of(&system(build))),
        (SOFTWARE, software(build, extra)),
        (DEFAULT, hive_of(&user(build))),
        (NTUSER, hive_of(&user(build))),
    ])
}

/// Does it; gives the number of changes, or why not.
pub(crate) fn run(image: &mut Image, spec: &LocaleSpec) -> Result<usize, ServicingError> {
    image.begin_step();
    let result = Operation::Locale(spec.clone()).apply(&Prepared::Nothing, image);
    let changes = image.end_step();
    result.map(|()| changes.0.len())
}

/// Does it twice; the second time nothing changes. Gives what the look at the image said.
pub(crate) fn done(image: &mut Image, spec: &LocaleSpec) -> Vec<String> {
    let facts = image.facts();
    let problems = Operation::Locale(spec.clone()).check_image(image, &facts);
    assert!(problems.iter().all(|problem| problem.warning), "{problems:?}");
    run(image, spec).unwrap();
    assert_eq!(run(image, spec).unwrap(), 0, "{spec:?} is not idempotent");
    problems.into_iter().map(|problem| format!("{}: {}", problem.item, problem.cause)).collect()
}

/// What it is refused with: `item: cause; help`, one line each. Nothing is changed then.
pub(crate) fn refused(image: &mut Image, spec: &LocaleSpec) -> String {
    let facts = image.facts();
    let problems = Operation::Locale(spec.clone()).check_image(image, &facts);
    let errors: Vec<_> = problems.iter().filter(|problem| !problem.warning).collect();
    assert!(!errors.is_empty(), "{spec:?} is not refused");
    image.begin_step();
    let error = Operation::Locale(spec.clone()).apply(&Prepared::Nothing, image).unwrap_err();
    assert_eq!(image.end_step().0, []);
    assert!(error.to_string().contains(&errors[0].cause), "{error}");
    let shown = errors.iter().map(|p| format!("{}: {}; {}", p.item, p.cause, p.help));
    shown.collect::<Vec<_>>().join("\n")
}

/// The keys of a hive of the finished image as hivexregedit exports them, each `name=value` with the type in the value. Without the tool as our own reader has it.
pub(crate) fn exported(image: Image, place: &str) -> BTreeMap<String, BTreeSet<String>> {
    let finished = image.finish().unwrap();
    let folder = support::temporary_folder();
    let wim = crate::image_fixture::save(finished, None, &folder.path().join("a.wim"));
    let bytes = crate::image_fixture::open(&wim).read(&path(place)).unwrap();
    let file = folder.path().join("hive");
    fs_err::write(&file, &bytes).unwrap();
    assert_eq!(Hive::parse(bytes, &Limits::default()).unwrap().check(), []);
    let Some(tool) = support::oracle("hivexregedit") else { return BTreeMap::new() };
    let text = tool.run(["--export", "--prefix", "HKLM", file.to_str().unwrap(), "\\"]);
    let mut keys: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for entry in reg_text::parse(&text).unwrap() {
        let key = entry.key.trim_start_matches("HKLM").trim_start_matches('\\').to_owned();
        let values = keys.entry(key).or_default();
        let RegAction::Values(found) = entry.action else { panic!("an export deletes nothing") };
        for (name, data) in found {
            let (kind, data) = data.expect("an export deletes nothing");
            values.insert(shown(&Value { name, kind, data }));
        }
    }
    keys
}

fn shown(value: &Value) -> String {
    let name = value.name.to_string();
    if let Some(text) = value.as_text() {
        format!("{name}={text}")
    } else if let Some(texts) = value.as_multi_text() {
        format!("{name}={}", texts.join("|"))
    } else if let Some(number) = value.as_dword() {
        format!("{name}={}", number.cast_signed())
    } else {
        let hex: String = value.data.iter().map(|byte| format!("{byte:02x}")).collect();
        format!("{name}={hex}")
    }
}

pub(crate) fn assert_key(keys: &BTreeMap<String, BTreeSet<String>>, key: &str, values: &[&str]) {
    if keys.is_empty() {
        return;
    }
    let found = keys.iter().find(|(name, _)| name.eq_ignore_ascii_case(key));
    let found: Vec<&str> =
        found.unwrap_or_else(|| panic!("no {key}")).1.iter().map(String::as_str).collect();
    let mut values = values.to_vec();
    values.sort_unstable();
    assert_eq!(found, values, "{key}");
}

pub(crate) fn text(value: &str) -> Option<String> {
    Some(value.to_owned())
}
