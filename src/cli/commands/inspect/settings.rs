//! `transom inspect image --apps`, `--intl`, `--services`, `--setup` and `--pe`: how an image is set up; and the lines on it that `transom inspect image` itself prints.

use std::path::Path;

use clap::Args;
use serde::Serialize;

use crate::{
    cli::{
        app::Context,
        exit::{Exit, Failure, Problem},
        failures,
        output::Out,
        text,
    },
    image::{HiveId, Image, ImageError},
    servicing::{
        appx::inventory::{self as apps, AppState},
        defaults::{self, DefaultsState},
        locale::{self, LocaleState},
        services::{self, InstalledService, StartMode},
        setup_state::{self, SetupState},
        winpe::{self, WinPeState},
        winre::{self, WinReInventory},
    },
};

/// How many names a line shows.
const FEW: usize = 6;

/// The views of an image's settings.
#[derive(Debug, Args)]
pub(super) struct SettingViews {
    /// List the provisioned apps
    #[arg(long, group = "view")]
    apps: bool,

    /// Show languages, formats, keyboards and the time zone
    #[arg(long, group = "view")]
    intl: bool,

    /// List the services and drivers, and how they start
    #[arg(long, group = "view")]
    services: bool,

    /// Show how far the image is with Windows Setup, and which answer files Setup finds in it
    #[arg(long, group = "view")]
    setup: bool,

    /// Show the settings of a Windows PE image
    #[arg(long, group = "view")]
    pe: bool,
}

/// What `transom inspect image` tells of an image's settings. What cannot be read is left out, with a warning.
#[derive(Debug, Serialize)]
#[serde(rename_all = "kebab-case")]
pub(super) struct Settings {
    /// Languages, formats, keyboards and the time zone.
    locale: Option<LocaleState>,
    /// How far the image is with Windows Setup.
    setup: Option<SetupState>,
    /// OEM information, registered owner, default associations.
    defaults: Option<DefaultsState>,
    /// The provisioned apps.
    apps: Option<AppState>,
    /// Settings of a Windows PE; absent for any other image.
    winpe: Option<WinPeState>,
    /// The recovery image; absent when there is none.
    winre: Option<WinReInventory>,
}

impl SettingViews {
    /// True when one of the views is asked for.
    pub(super) fn any(&self) -> bool {
        [self.apps, self.intl, self.services, self.setup, self.pe].contains(&true)
    }

    /// Prints the view that is asked for.
    pub(super) fn run(
        &self,
        image: &mut Image,
        path: &Path,
        json: bool,
        context: &Context,
    ) -> Result<(), Failure> {
        let failed = |error: ImageError| failures::image(path, error);
        if self.apps {
            let state = apps::inventory(image).map_err(|error| {
                let message = format!("{}: {}", path.display(), text::chain(&error));
                Problem::new("image::apps", message).help(error.help()).exit(Exit::BadInput)
            })?;
            return if json { context.printer.json(&state) } else { list_apps(&state, context) };
        }
        if self.intl {
            let state = locale::inventory(image).map_err(|error| {
                let message = format!("{}: {}", path.display(), text::chain(&error));
                Problem::new("image::intl", message).help(error.help()).exit(Exit::BadInput)
            })?;
            if json {
                return context.printer.json(&state);
            }
            let mut out = context.printer.stdout();
            out.text(text::facts(&locale_rows(&state)))?;
            return out.finish();
        }
        if self.services {
            let all = services::inventory(image).map_err(failed)?;
            if json {
                return context.printer.json(&serde_json::json!({ "services": all }));
            }
            return list_services(&all, context);
        }
        if self.setup {
            let state = setup_state::inventory(image).map_err(failed)?;
            if json {
                return context.printer.json(&state);
            }
            let mut out = context.printer.stdout();
            print_setup(&state, &mut out)?;
            return out.finish();
        }
        let Some(state) = winpe::inventory(image).map_err(failed)? else {
            let message = format!("{}: this image is no Windows PE", path.display());
            return Err(Problem::new("image::no-pe", message)
                .help("`transom wim info` lists the images of a WIM; that of a boot.wim is one")
                .exit(Exit::BadInput));
        };
        if json {
            return context.printer.json(&state);
        }
        let mut out = context.printer.stdout();
        print_pe(&state, &mut out)?;
        out.finish()
    }
}

impl Settings {
    /// Reads them.
    pub(super) fn read(image: &mut Image, path: &Path, context: &Context) -> Self {
        let warn = |what: &str, error: &dyn std::error::Error| {
            let error = text::chain(error);
            context.printer.warn(format_args!("{}: {what} unknown: {error}", path.display()));
        };
        let has_hives = [HiveId::System, HiveId::Software].iter().all(|hive| image.has_hive(*hive));
        let locale = locale::inventory(image);
        let setup = setup_state::inventory(image);
        let defaults = has_hives.then(|| defaults::inventory(image));
        let apps = apps::inventory(image);
        let winpe = winpe::inventory(image);
        Self {
            locale: locale.map_err(|error| warn("languages and time zone are", &error)).ok(),
            setup: setup.map_err(|error| warn("the state of Setup is", &error)).ok(),
            defaults: defaults.and_then(|read| {
                read.map_err(|error| warn("OEM information and owner are", &error)).ok()
            }),
            apps: apps.map_err(|error| warn("its apps are", &error)).ok(),
            winpe: winpe
                .map_err(|error| warn("the settings of Windows PE are", &error))
                .ok()
                .flatten(),
            winre: winre::inventory(image),
        }
    }

    /// Prints what there is.
    pub(super) fn print(&self, out: &mut Out) -> Result<(), Failure> {
        let locale = self.locale.as_ref().map(locale_rows).unwrap_or_default();
        if !locale.is_empty() {
            out.line("\nLanguages and formats")?;
            out.text(text::facts(&locale))?;
        }
        if let Some(state) = &self.winpe {
            out.line("\nWindows PE")?;
            print_pe(state, out)?;
        }
        if let Some(state) = self.setup.as_ref().filter(|state| **state != SetupState::default()) {
            out.line("\nWindows Setup")?;
            print_setup(state, out)?;
        }
        if let Some(state) = &self.winre {
            out.line("\nRecovery image")?;
            out.text(text::facts(&recovery_rows(state)))?;
        }
        let defaults = self.defaults.as_ref().map(default_rows).unwrap_or_default();
        if !defaults.is_empty() {
            out.line("\nDefaults")?;
            let rows: Vec<(&str, String)> =
                defaults.iter().map(|(name, value)| (name.as_str(), value.clone())).collect();
            out.text(text::facts(&rows))?;
        }
        if let Some(state) = &self.apps {
            let mut names: Vec<String> = state
                .apps
                .iter()
                .filter(|app| app.provisioned)
                .map(|app| app.name.clone())
                .collect();
            names.dedup();
            if !names.is_empty() {
                let count = text::count(names.len() as u64, "app", "apps");
                out.line(format_args!("\nProvisioned: {count} ({})", text::few(&names, FEW)))?;
            }
        }
        Ok(())
    }
}

fn table<const COLUMNS: usize>(rows: &[[String; COLUMNS]], out: &mut Out) -> Result<(), Failure> {
    let widths: Vec<usize> = (0..COLUMNS)
        .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
        .collect();
    for row in rows {
        let cells: Vec<String> =
            row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
        out.line(cells.join("  ").trim_end())?;
    }
    Ok(())
}

fn list_apps(state: &AppState, context: &Context) -> Result<(), Failure> {
    let mut out = context.printer.stdout();
    let mut rows = vec![["Name", "Version", "Architecture", "Kind", ""].map(str::to_owned)];
    rows.extend(state.apps.iter().map(|app| {
        let mut odd = Vec::new();
        odd.extend((!app.provisioned).then_some("not provisioned"));
        odd.extend((!app.registered).then_some("not registered"));
        odd.extend((!app.folder).then_some("no folder"));
        [
            app.name.clone(),
            app.version.clone(),
            app.architecture.clone(),
            app.kind.clone().unwrap_or_default(),
            odd.join(", "),
        ]
    }));
    if rows.len() > 1 {
        table(&rows, &mut out)?;
        out.line("")?;
    }
    for family in &state.deprovisioned {
        out.line(format_args!("{family}: removed, updates do not bring it back"))?;
    }
    let provisioned = state.apps.iter().filter(|app| app.provisioned).count();
    let shown = text::count(provisioned as u64, "provisioned app", "provisioned apps");
    let others = match state.apps.len() - provisioned {
        0 => String::new(),
        others => format!(" ({others} more that are registered alone: frameworks)"),
    };
    out.line(format_args!("{shown}{others}"))?;
    out.finish()
}

fn list_services(all: &[InstalledService], context: &Context) -> Result<(), Failure> {
    let mut out = context.printer.stdout();
    let mut rows = vec![["Name", "Start", "Kind", "Account"].map(str::to_owned)];
    rows.extend(all.iter().map(|service| {
        [
            service.name.clone(),
            service.start.map_or("unknown", StartMode::name).to_owned(),
            if service.driver { "driver" } else { "service" }.to_owned(),
            service.account.clone().filter(|_| !service.driver).unwrap_or_default(),
        ]
    }));
    if rows.len() > 1 {
        table(&rows, &mut out)?;
        out.line("")?;
    }
    let drivers = all.iter().filter(|service| service.driver).count() as u64;
    let services = text::count(all.len() as u64 - drivers, "service", "services");
    out.line(format_args!("{services}, {}", text::count(drivers, "driver", "drivers")))?;
    out.finish()
}

fn print_setup(state: &SetupState, out: &mut Out) -> Result<(), Failure> {
    let yes_no = |number: u32| match number {
        0 => "no".to_owned(),
        1 => "yes".to_owned(),
        other => other.to_string(),
    };
    let rows = [
        ("Image state", state.image_state.clone()),
        ("State.ini", state.state_file.clone().filter(|_| state.state_file != state.image_state)),
        (
            "Servicing state",
            state.servicing_state.clone().filter(|_| state.servicing_state != state.image_state),
        ),
        ("Generalization state", state.generalization_state.map(|number| number.to_string())),
        ("Setup in progress", state.setup_in_progress.map(yes_no)),
        ("OOBE in progress", state.oobe_in_progress.map(yes_no)),
        ("Setup type", state.setup_type.map(|number| number.to_string())),
        ("Runs at the next start", state.command_line.clone()),
        ("Waits for the next start", state.pending.then(|| "packages".to_owned())),
        ("Scripts", (!state.scripts.is_empty()).then(|| state.scripts.join(", "))),
        ("First boot runs", (!state.first_boot.is_empty()).then(|| state.first_boot.join(", "))),
    ];
    let rows: Vec<(&str, String)> =
        rows.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    out.text(text::facts(&rows))?;
    if state.answer_files.is_empty() {
        return out.line("Answer files: none");
    }
    out.line("Answer files, in the order in which Setup looks for them")?;
    for (place, file) in state.answer_files.iter().enumerate() {
        let size = file.size.map_or_else(|| "not there".to_owned(), text::size);
        out.line(format_args!("  {}. {} ({size}; {})", place + 1, file.path, file.place))?;
    }
    Ok(())
}

fn print_pe(state: &WinPeState, out: &mut Out) -> Result<(), Failure> {
    let scratch = match state.scratch_mib {
        Some(mib) => format!("{mib} MiB"),
        None => "32 MiB (nothing is said)".to_owned(),
    };
    let lines = |lines: &Option<Vec<String>>| lines.as_ref().map(|lines| lines.join("; "));
    let rows = [
        ("Scratch space", Some(scratch)),
        ("Target path", state.target_path.clone()),
        ("startnet.cmd", lines(&state.startnet)),
        ("winpeshl.ini", lines(&state.winpeshl)),
        ("Components", (!state.components.is_empty()).then(|| state.components.join(", "))),
    ];
    let rows: Vec<(&str, String)> =
        rows.into_iter().filter_map(|(name, value)| Some((name, value?))).collect();
    out.text(text::facts(&rows))
}

fn recovery_rows(state: &WinReInventory) -> Vec<(&'static str, String)> {
    let rows = [
        ("File", Some(format!("{} ({})", state.path, text::size(state.size)))),
        ("SHA-1", Some(state.sha1.to_string())),
        ("Name", state.name.clone()),
        ("Version", state.version.clone()),
        ("Architecture", state.architecture.map(str::to_owned)),
        ("Images", (state.images > 1).then(|| state.images.to_string())),
        ("Unknown", state.problem.clone()),
    ];
    rows.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

/// What is known of languages, formats, keyboards and the time zone.
fn locale_rows(state: &LocaleState) -> Vec<(&'static str, String)> {
    let some = |texts: &[String]| (!texts.is_empty()).then(|| texts.join(", "));
    let keyboards: Vec<String> = state
        .keyboards
        .iter()
        .map(|keyboard| match &keyboard.layout {
            Some(layout) => format!("{} ({layout})", keyboard.identifier),
            None => keyboard.identifier.clone(),
        })
        .collect();
    let languages: Vec<String> =
        state.languages.iter().map(|language| language.tag.clone()).collect();
    let zone = state.time_zone.as_ref().map(|zone| match state.daylight_saving {
        Some(false) => format!("{zone} (daylight saving time is off)"),
        _ => zone.clone(),
    });
    let rows = [
        ("UI language", state.ui_language.clone()),
        ("Preferred UI languages", some(&state.preferred_ui_languages)),
        ("UI fallback", some(&state.ui_fallback)),
        ("System locale", state.system_locale.clone()),
        ("Code page", state.ansi_code_page.clone()),
        ("User locale", state.user_locale.clone()),
        (
            "Logon screen",
            state.logon_locale.clone().filter(|_| state.logon_locale != state.user_locale),
        ),
        (
            "Location",
            state.location.as_ref().map(|location| match &location.name {
                Some(name) => format!("{name} ({})", location.geoid),
                None => location.geoid.to_string(),
            }),
        ),
        ("Keyboards", some(&keyboards)),
        (
            "Layered driver",
            state.layered_driver.as_ref().map(|driver| match driver.number {
                Some(number) => format!("{number}, {}", driver.name),
                None => driver.name.clone(),
            }),
        ),
        ("Time zone", zone),
        ("Installed languages", some(&languages)),
    ];
    rows.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
}

fn default_rows(state: &DefaultsState) -> Vec<(String, String)> {
    let rows = [
        ("Computer name", state.computer_name.clone()),
        ("Registered owner", state.registered_owner.clone()),
        ("Registered organization", state.registered_organization.clone()),
        ("App associations", state.associations.map(|count| count.to_string())),
    ];
    let known = rows.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?)));
    known
        .chain(state.oem.iter().map(|(name, text)| (format!("OEM {name}"), text.clone())))
        .collect()
}
