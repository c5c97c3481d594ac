//! `[locale]` on an image: what each setting writes, read back by hivexregedit, what it leaves alone, and what it refuses.

use transom::{
    format::hive::Value,
    image::{Image, NewNode, RegistryPath},
    servicing::{
        Operation,
        locale::{self, LocaleSpec},
    },
};

use crate::{
    image_fixture::path,
    locale_fixture::{
        CONTROL, DEFAULT, JAPANESE, NTUSER, SOFTWARE, SYSTEM, assert_key, done, english, exported,
        hive_of, image_of, refused, run, software, system, text, user, zones,
    },
};

#[test]
fn the_defaults_of_a_language_are_all_of_its_settings() {
    let mut image = english(26100);
    let spec = LocaleSpec { defaults: text("de-de"), ..LocaleSpec::default() };
    assert_eq!(done(&mut image, &spec), Vec::<String>::new());
    let state = locale::inventory(&mut image).unwrap();
    assert_eq!(image.facts().default_language.as_deref(), Some("de-DE"));
    assert_eq!(state.ui_language.as_deref(), Some("de-DE"));
    assert_eq!(state.system_locale.as_deref(), Some("de-DE"));
    assert_eq!(state.user_locale.as_deref(), Some("de-DE"));
    assert_eq!(state.time_zone.as_deref(), Some("W. Europe Standard Time"));
    let location = state.location.unwrap();
    assert_eq!((location.geoid, location.name.as_deref()), (94, Some("Germany")));
    let keyboard = &state.keyboards[0];
    assert_eq!(
        (keyboard.identifier.as_str(), keyboard.layout.as_deref()),
        ("0407:00000407", Some("German"))
    );
    let users = |place: &str| {
        let mut image = english(26100);
        run(&mut image, &spec).unwrap();
        exported(image, place)
    };
    for place in [DEFAULT, NTUSER] {
        let keys = users(place);
        let international = r"Control Panel\International";
        assert_key(
            &keys,
            international,
            &["Locale=00000407", "LocaleName=de-DE", "iCountry=49", "sLanguage=DEU", "Site=mine"],
        );
        assert_key(&keys, &format!(r"{international}\Geo"), &["Nation=94", "Name=DE"]);
        let profile = format!(r"{international}\User Profile");
        assert_key(&keys, &profile, &["Languages=de-DE"]);
        assert_key(&keys, &format!(r"{profile}\de-DE"), &["0407:00000407=1"]);
        assert!(!keys.contains_key(&format!(r"{profile}\en-US")));
        assert_key(&keys, r"Keyboard Layout\Preload", &["1=00000407"]);
        assert_key(&keys, r"Keyboard Layout\Substitutes", &[]);
        assert_key(&keys, r"Control Panel\Desktop", &["Wallpaper="]);
    }
    let keys = exported(image, SYSTEM);
    let control = |key: &str| format!(r"{CONTROL}\{key}");
    assert_key(&keys, &control(r"Nls\Language"), &["Default=0407", "InstallLanguage=0407"]);
    assert_key(&keys, &control(r"Nls\Locale"), &["=00000407", "(Default)=00000407"]);
    // The image has no raster font for code page 850, so that of the console stays.
    assert_key(
        &keys,
        &control(r"Nls\CodePage"),
        &["ACP=1252", "MACCP=10000", "OEMCP=850", "OEMHAL=vgaoem.fon"],
    );
    let common = control(r"CommonGlobUserSettings\Control Panel\International");
    assert_key(
        &keys,
        &common,
        &["Locale=00000407", "LocaleName=de-DE", "iCountry=49", "sLanguage=DEU"],
    );
    assert_key(&keys, &format!(r"{common}\Geo"), &["Nation=94"]);
    assert_key(
        &keys,
        &control("TimeZoneInformation"),
        &[
            "ActiveTimeBias=-60",
            "Bias=-60",
            "DaylightBias=-60",
            "DaylightName=@tzres.dll,-321",
            "DaylightStart=00000300050002000000000000000000",
            "DynamicDaylightTimeDisabled=0",
            "StandardBias=0",
            "StandardName=@tzres.dll,-322",
            "StandardStart=00000a00050003000000000000000000",
            "TimeZoneKeyName=W. Europe Standard Time",
        ],
    );
}

#[test]
fn what_an_image_is_set_to_is_not_written_again() {
    for build in [7601, 9600, 26100] {
        let mut image = english(build);
        for spec in [
            LocaleSpec { all: text("en-US"), timezone: text("utc"), ..LocaleSpec::default() },
            LocaleSpec {
                ui: text("EN-us"),
                system: text("en-us"),
                user: text("en-us"),
                input: vec!["0409:00000409".to_owned()],
                ..LocaleSpec::default()
            },
        ] {
            let facts = image.facts();
            assert_eq!(Operation::Locale(spec.clone()).check_image(&mut image, &facts), []);
            let changes = run(&mut image, &spec).unwrap();
            // The zone's daylight bias is in the image's list and was not set.
            assert_eq!(changes, 0, "build {build}");
        }
    }
}

#[test]
fn single_settings_win_and_the_others_stay() {
    let mut image = english(26100);
    let spec = LocaleSpec {
        all: text("de-DE"),
        ui: text("en-US"),
        input: vec!["0409:00000409".to_owned(), "de-DE".to_owned()],
        ..LocaleSpec::default()
    };
    done(&mut image, &spec);
    let state = locale::inventory(&mut image).unwrap();
    assert_eq!(state.ui_language.as_deref(), Some("en-US"));
    assert_eq!(state.system_locale.as_deref(), Some("de-DE"));
    assert_eq!(state.time_zone.as_deref(), Some("UTC"));
    let identifiers: Vec<&str> = state.keyboards.iter().map(|k| k.identifier.as_str()).collect();
    assert_eq!(identifiers, ["0409:00000409", "0407:00000407"]);
    let keys = exported(image, NTUSER);
    let profile = r"Control Panel\International\User Profile";
    assert_key(&keys, profile, &["Languages=en-US|de-DE"]);
    assert_key(
        &keys,
        &format!(r"{profile}\en-US"),
        &["0409:00000409=1", "CachedLanguageName=@Winlangdb.dll,-1121"],
    );
    assert_key(&keys, r"Keyboard Layout\Preload", &["1=00000409", "2=00000407"]);
}

#[test]
fn layouts_of_other_languages_are_substitutes_and_go_again() {
    let mut image = english(26100);
    let input = |list: &[&str]| LocaleSpec {
        input: list.iter().map(ToString::to_string).collect(),
        ..LocaleSpec::default()
    };
    done(&mut image, &input(&["0409:00000407", "0c07:00000407", "0409:00000409"]));
    let state = locale::inventory(&mut image).unwrap();
    let languages: Vec<Option<&str>> =
        state.keyboards.iter().map(|k| k.language.as_deref()).collect();
    // The user's list is ordered by language.
    assert_eq!(languages, [Some("en-US"), Some("en-US"), Some("de-AT")]);
    let mut copy = english(26100);
    run(&mut copy, &input(&["0409:00000407", "0c07:00000407", "0409:00000409"])).unwrap();
    let keys = exported(copy, DEFAULT);
    let preload = ["1=d0010409", "2=00000c07", "3=00000409"];
    assert_key(&keys, r"Keyboard Layout\Preload", &preload);
    let substitutes = ["00000c07=00000407", "d0010409=00000407"];
    assert_key(&keys, r"Keyboard Layout\Substitutes", &substitutes);
    done(&mut image, &input(&["0409:00000409"]));
    let keys = exported(image, DEFAULT);
    assert_key(&keys, r"Keyboard Layout\Preload", &["1=00000409"]);
    assert_key(&keys, r"Keyboard Layout\Substitutes", &[]);
}

#[test]
fn an_input_method_is_listed_for_the_language() {
    let mut image = english(26100);
    let spec = LocaleSpec { input: vec!["ja-JP".to_owned()], ..LocaleSpec::default() };
    done(&mut image, &spec);
    let identifier = format!("0411:{}{}", JAPANESE.0, JAPANESE.1);
    assert_eq!(locale::inventory(&mut image).unwrap().keyboards[0].identifier, identifier);
    let keys = exported(image, NTUSER);
    assert_key(&keys, r"Keyboard Layout\Preload", &["1=00000411"]);
    let profile = r"Control Panel\International\User Profile\ja-JP";
    assert_key(&keys, profile, &[&format!("{identifier}=1")]);
    let class = format!("CLSID={}", JAPANESE.0);
    let profile = format!("Profile={}", JAPANESE.1);
    assert_key(
        &keys,
        r"Software\Microsoft\CTF\SortOrder\AssemblyItem\0x00000411\{34745C63-B2F0-4784-8B67-5E12C8701A31}\00000000",
        &[&class, "KeyboardLayout=0", &profile],
    );
}

#[test]
fn a_system_locale_brings_its_code_pages_and_the_font_that_is_there() {
    let mut image = english(26100);
    let font = path(r"\Windows\Fonts\vga866.fon");
    image.put_bytes(&font, b"font".to_vec(), &NewNode::default()).unwrap();
    done(&mut image, &LocaleSpec { system: text("ru-RU"), ..LocaleSpec::default() });
    let keys = exported(image, SYSTEM);
    assert_key(
        &keys,
        &format!(r"{CONTROL}\Nls\CodePage"),
        &["ACP=1251", "MACCP=10007", "OEMCP=866", "OEMHAL=vga866.fon"],
    );
    assert_key(
        &keys,
        &format!(r"{CONTROL}\Nls\Language"),
        &["Default=0419", "InstallLanguage=0409"],
    );
    let mut image = english(26100);
    let said = done(&mut image, &LocaleSpec { system: text("ja-JP"), ..LocaleSpec::default() });
    assert!(said[0].contains("substitutes of fonts"), "{said:?}");
    // Hindi has no code page: with `all` the system locale stays, by itself it is refused.
    let hindi = LocaleSpec {
        all: text("hi-IN"),
        ui: text("en-US"),
        input: vec!["0439:00000409".to_owned()],
        ..LocaleSpec::default()
    };
    let mut image = english(26100);
    let said = done(&mut image, &hindi);
    assert!(said[0].contains("stays as it is"), "{said:?}");
    let state = locale::inventory(&mut image).unwrap();
    assert_eq!(state.system_locale.as_deref(), Some("en-US"));
    assert_eq!(state.user_locale.as_deref(), Some("hi-IN"));
    let alone = LocaleSpec { system: text("hi-IN"), ..LocaleSpec::default() };
    assert!(refused(&mut image, &alone).contains("Unicode alone"));
}

#[test]
fn utf8_for_all_programs_stays_with_its_locale() {
    let mut image = english(26100);
    let key = RegistryPath::parse(r"HKLM\SYSTEM\CurrentControlSet\Control\Nls\CodePage").unwrap();
    image.set_value(&key, &Value::sz("ACP", "65001")).unwrap();
    let spec = |tag: &str| LocaleSpec { system: text(tag), ..LocaleSpec::default() };
    assert_eq!(run(&mut image, &spec("en-US")).unwrap(), 0);
    run(&mut image, &spec("de-DE")).unwrap();
    assert_eq!(locale::inventory(&mut image).unwrap().ansi_code_page.as_deref(), Some("1252"));
}

#[test]
fn interface_packs_lie_on_a_language_and_partial_ones_fall_back() {
    let language = format!(r"{CONTROL}\Nls\Language");
    let mut image = english(26100);
    let catalan =
        LocaleSpec { ui: text("ca-ES"), ui_fallback: text("es-ES"), ..LocaleSpec::default() };
    done(&mut image, &catalan);
    let state = locale::inventory(&mut image).unwrap();
    // As /Get-Intl shows it: the system is in Spanish.
    assert_eq!(state.ui_language.as_deref(), Some("es-ES"));
    assert_eq!(state.preferred_ui_languages, ["ca-ES"]);
    let kinds: Vec<(&str, &str)> =
        state.languages.iter().map(|l| (l.tag.as_str(), l.kind.text())).collect();
    assert!(kinds.contains(&("ca-ES", "Partially localized language, LIP type.")), "{kinds:?}");
    assert!(kinds.contains(&("uk-UA", "Partially localized language, MUI type.")), "{kinds:?}");
    let mut copy = english(26100);
    run(&mut copy, &catalan).unwrap();
    let user = exported(copy, NTUSER);
    let desktop = ["PreferredUILanguages=ca-ES", "Wallpaper="];
    assert_key(&user, r"Control Panel\Desktop", &desktop);
    // Back to a whole language: nothing of it stays.
    done(&mut image, &LocaleSpec { ui: text("de-DE"), ..LocaleSpec::default() });
    let keys = exported(image, SYSTEM);
    assert_key(&keys, &language, &["Default=0409", "InstallLanguage=0407"]);
    assert_key(&keys, &format!(r"{CONTROL}\MUI\Settings"), &[]);

    let mut image = english(26100);
    let ukrainian =
        LocaleSpec { ui: text("uk-UA"), ui_fallback: text("en-US"), ..LocaleSpec::default() };
    done(&mut image, &ukrainian);
    let keys = exported(image, SYSTEM);
    assert_key(
        &keys,
        &language,
        &["Default=0409", "InstallLanguage=0422", "InstallLanguageFallback=en-US"],
    );
}

#[test]
fn a_zone_may_go_without_daylight_saving_time_and_may_be_ones_own() {
    let zone = |name: &str| LocaleSpec { timezone: text(name), ..LocaleSpec::default() };
    let mut image = english(26100);
    done(&mut image, &zone("pacific standard time_DSTOFF"));
    let state = locale::inventory(&mut image).unwrap();
    assert_eq!(state.time_zone.as_deref(), Some("Pacific Standard Time"));
    assert_eq!(state.daylight_saving, Some(false));
    let never = "0".repeat(32);
    let keys = exported(image, SYSTEM);
    assert_key(
        &keys,
        &format!(r"{CONTROL}\TimeZoneInformation"),
        &[
            "ActiveTimeBias=480",
            "Bias=480",
            "DaylightBias=0",
            "DaylightName=@tzres.dll,-211",
            &format!("DaylightStart={never}"),
            "DynamicDaylightTimeDisabled=1",
            "StandardBias=0",
            "StandardName=@tzres.dll,-212",
            &format!("StandardStart={never}"),
            "TimeZoneKeyName=Pacific Standard Time",
        ],
    );
    let mut image = english(26100);
    done(&mut image, &zone("Home Time"));
    let said = done(&mut image, &zone("Tokyo Standard Time_dstoff"));
    assert!(said[0].contains("no daylight saving time"), "{said:?}");
    done(&mut image, &zone("Home Time"));
    let keys = exported(image, SYSTEM);
    if let Some(values) = keys.get(&format!(r"{CONTROL}\TimeZoneInformation")) {
        assert!(values.contains("StandardName=Home") && values.contains("Bias=-30"), "{values:?}");
        // The junk behind the old name is gone with it.
        assert!(values.contains("TimeZoneKeyName=Home Time"));
    }
    let mut image = english(26100);
    assert!(
        refused(&mut image, &zone("W Europe Standard Time"))
            .contains("did you mean W. Europe Standard Time")
    );
    let berlin = refused(&mut image, &zone("Europe/Berlin"));
    assert!(berlin.contains("the image has no such time zone"), "{berlin}");
    assert!(refused(&mut image, &zone("Broken")).contains("without its rules"));
    assert!(refused(&mut image, &zone("")).contains("no such time zone"));
}

#[test]
fn the_bias_of_another_zone_does_not_stay_in_force() {
    let zone = |name: &str| LocaleSpec { timezone: text(name), ..LocaleSpec::default() };
    let key = format!(
        r"{}\TimeZoneInformation",
        CONTROL.replace("ControlSet001", r"HKLM\SYSTEM\CurrentControlSet")
    );
    let key = RegistryPath::parse(&key).unwrap();
    let mut image = english(26100);
    let bias = |image: &mut Image| {
        let value = image.registry_value(&key, &"ActiveTimeBias".into()).unwrap().unwrap();
        value.as_dword().unwrap().cast_signed()
    };
    done(&mut image, &zone("W. Europe Standard Time"));
    assert_eq!(bias(&mut image), -60);
    // That is British summer time, and no summer is known here.
    done(&mut image, &zone("GMT Standard Time"));
    assert_eq!(bias(&mut image), 0);
    // The clock set it to summer; the zone is the same.
    let summer = Value::dword("ActiveTimeBias", (-60_i32).cast_unsigned());
    image.set_value(&key, &summer).unwrap();
    done(&mut image, &zone("GMT Standard Time"));
    assert_eq!(bias(&mut image), -60);
}

#[test]
fn each_layered_driver_replaces_one_of_two() {
    let driver = |number| LocaleSpec { layered_driver: Some(number), ..LocaleSpec::default() };
    for (number, values) in [
        (
            1,
            [
                "LayerDriver JPN=kbd101.dll",
                "LayerDriver KOR=kbd101a.dll",
                "OverrideKeyboardIdentifier=PCAT_101KEY",
                "OverrideKeyboardSubtype=0",
                "OverrideKeyboardType=7",
            ],
        ),
        (
            4,
            [
                "LayerDriver JPN=kbd101.dll",
                "LayerDriver KOR=kbd101c.dll",
                "OverrideKeyboardIdentifier=PCAT_101CKEY",
                "OverrideKeyboardSubtype=5",
                "OverrideKeyboardType=8",
            ],
        ),
        (
            6,
            [
                "LayerDriver JPN=kbd106.dll",
                "LayerDriver KOR=kbd101a.dll",
                "OverrideKeyboardIdentifier=PCAT_106KEY",
                "OverrideKeyboardSubtype=2",
                "OverrideKeyboardType=7",
            ],
        ),
    ] {
        let mut image = english(26100);
        assert_eq!(locale::inventory(&mut image).unwrap().layered_driver, None);
        done(&mut image, &driver(number));
        let state = locale::inventory(&mut image).unwrap().layered_driver.unwrap();
        assert_eq!(state.number, Some(number));
        let keys = exported(image, SYSTEM);
        assert_key(&keys, r"ControlSet001\Services\i8042prt\Parameters", &values);
    }
    assert!(refused(&mut english(26100), &driver(7)).contains("1 to 6"));
}

#[test]
fn windows_7_has_no_list_of_languages_and_older_ones_are_refused() {
    let mut image = english(7601);
    let spec = LocaleSpec { defaults: text("de-DE"), ..LocaleSpec::default() };
    done(&mut image, &spec);
    let keys = exported(image, NTUSER);
    let international = r"Control Panel\International";
    assert_key(&keys, &format!(r"{international}\Geo"), &["Nation=94"]);
    assert!(!keys.contains_key(&format!(r"{international}\User Profile")));
    assert_key(&keys, r"Keyboard Layout\Preload", &["1=00000407"]);
    let vista = refused(&mut english(6002), &spec);
    assert!(vista.contains("older than Windows 7"), "{vista}");
}

#[test]
fn a_windows_pe_has_the_system_user_alone() {
    let mut image = image_of(&[
        (SYSTEM, hive_of(&system(26100))),
        (SOFTWARE, software(26100, zones())),
        (DEFAULT, hive_of(&user(26100))),
    ]);
    done(&mut image, &LocaleSpec { all: text("de-DE"), ..LocaleSpec::default() });
    let state = locale::inventory(&mut image).unwrap();
    assert_eq!(state.user_locale.as_deref(), Some("de-DE"));
    assert_eq!(state.logon_locale.as_deref(), Some("de-DE"));
    let mut image =
        image_of(&[(SYSTEM, hive_of(&system(26100))), (SOFTWARE, software(26100, zones()))]);
    let spec = LocaleSpec { user: text("de-DE"), ..LocaleSpec::default() };
    assert!(refused(&mut image, &spec).contains("no hive for users"));
    done(&mut image, &LocaleSpec { timezone: text("UTC"), ..LocaleSpec::default() });
    assert_eq!(locale::inventory(&mut image).unwrap().user_locale, None);
    assert_eq!(locale::inventory(&mut image_of(&[])).unwrap(), locale::LocaleState::default());
}

#[test]
fn what_the_image_does_not_have_is_refused_with_what_it_has() {
    let mut image = english(26100);
    let ui = |tag: &str| LocaleSpec { ui: text(tag), ..LocaleSpec::default() };
    let french = refused(&mut image, &ui("fr-FR"));
    assert!(french.contains("does not have this language") && french.contains("en-US"), "{french}");
    assert!(refused(&mut image, &ui("de-AT")).contains("did you mean de-DE"));
    let input = |text: &str| LocaleSpec { input: vec![text.to_owned()], ..LocaleSpec::default() };
    for (input, expected) in [
        (input("0407:00020407"), "did you mean 00000407 (German), 00010407 (German (IBM))?"),
        (input("0407:deadbeef"), "no such keyboard layout"),
        (input("9999:00000409"), "is no LCID"),
        (input("0407:407"), "this is no keyboard"),
        (input("klingon"), "this is no locale of Windows"),
        (input("de_DE"), "did you mean de-DE"),
        (input("zh-SG"), "its default keyboard is not known"),
        (input("ko-KR"), "no such input method"),
    ] {
        let said = refused(&mut image, &input);
        assert!(said.contains(expected), "{said}");
    }
    let user = |tag: &str| LocaleSpec { user: text(tag), ..LocaleSpec::default() };
    assert!(refused(&mut image, &user("en-DE")).contains("no locale of Windows"));
    // Of the defaults of Russian one layout is there and one is not needed to be named again.
    assert_eq!(done(&mut image, &input("ru-RU")), Vec::<String>::new());
    let fallback = LocaleSpec { ui_fallback: text("en-US"), ..LocaleSpec::default() };
    assert!(refused(&mut image, &fallback).contains("covers all of Windows"));
    // Everything that is wrong is said at once.
    let all = LocaleSpec {
        ui: text("fr-FR"),
        user: text("xx-XX"),
        timezone: text("Moon"),
        layered_driver: Some(9),
        ..LocaleSpec::default()
    };
    assert_eq!(refused(&mut image, &all).lines().count(), 4);
}

#[test]
fn an_image_without_hives_is_refused_not_broken() {
    let mut image = image_of(&[]);
    let spec = LocaleSpec { ui: text("de-DE"), ..LocaleSpec::default() };
    assert!(!refused(&mut image, &spec).is_empty());
    // Names that no path can hold.
    let mut keys = system(26100);
    keys.push((format!(r"{CONTROL}\Keyboard Layouts\x"), vec![]));
    keys.push((format!(r"{CONTROL}\MUI\UILanguages\{}", "x".repeat(255)), vec![]));
    let mut image = image_of(&[(SYSTEM, hive_of(&keys))]);
    assert!(locale::inventory(&mut image).unwrap().languages.len() > 5);
}
