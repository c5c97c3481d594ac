//! `transom inspect image --drivers` and `--driver`: the driver packages of an image.

use std::path::Path;

use crate::{
    cli::{
        app::Context,
        exit::{Exit, Failure, Problem},
        text,
    },
    image::Image,
    servicing::drivers::{
        database::IdKind,
        inventory::{self, InstalledDriver, Inventory},
    },
};

/// Which driver packages are shown.
#[derive(Debug, Clone, Copy)]
pub(super) enum Choice<'a> {
    /// Those that did not come with Windows.
    ThirdParty,
    /// All.
    All,
    /// One, by published name, original name or store folder; in detail.
    One(&'a str),
}

/// Prints the driver packages of an image.
pub(super) fn run(
    image: &mut Image,
    path: &Path,
    choice: Choice<'_>,
    json: bool,
    context: &Context,
) -> Result<(), Failure> {
    let read = inventory::read(image).map_err(|error| {
        let message =
            format!("{}: its drivers cannot be listed: {}", path.display(), text::chain(&error));
        Problem::new("image::drivers", message).help(error.help()).exit(Exit::BadInput)
    })?;
    for note in &read.notes {
        context.printer.warn(format_args!("{}: {note}", path.display()));
    }
    let total = read.drivers.len();
    let shown = chosen(read, choice);
    if let (Choice::One(wanted), true) = (choice, shown.drivers.is_empty()) {
        let message = format!("{}: no driver package is called {wanted}", path.display());
        return Err(Problem::new("image::no-driver", message)
            .help("`--drivers --all` lists them by published name")
            .exit(Exit::BadInput));
    }
    if json {
        return context.printer.json(&shown);
    }
    match choice {
        Choice::One(_) => details(&shown.drivers, context),
        _ => table(&shown.drivers, total, context),
    }
}

fn chosen(mut read: Inventory, choice: Choice<'_>) -> Inventory {
    read.drivers.retain(|driver| match choice {
        Choice::ThirdParty => !driver.inbox,
        Choice::All => true,
        Choice::One(wanted) => [&driver.published, &driver.original, &driver.package]
            .iter()
            .any(|name| name.eq_ignore_ascii_case(wanted)),
    });
    read
}

fn table(drivers: &[InstalledDriver], total: usize, context: &Context) -> Result<(), Failure> {
    let mut out = context.printer.stdout();
    let head = ["INF", "Original", "Class", "Provider", "Date", "Version"].map(str::to_owned);
    let mut rows = vec![head];
    rows.extend(drivers.iter().map(|driver| {
        let state = if driver.active { "" } else { " (superseded)" };
        [
            format!("{}{state}", driver.published),
            driver.original.clone(),
            driver.class.clone().unwrap_or_else(|| driver.class_guid.clone()),
            driver.provider.clone().unwrap_or_default(),
            driver.date.clone(),
            driver.version.clone(),
        ]
    }));
    if rows.len() > 1 {
        let widths: Vec<usize> = (0..6)
            .map(|column| rows.iter().map(|row| row[column].chars().count()).max().unwrap_or(0))
            .collect();
        for row in &rows {
            let cells: Vec<String> =
                row.iter().zip(&widths).map(|(cell, width)| format!("{cell:width$}")).collect();
            out.line(cells.join("  ").trim_end())?;
        }
        out.line("")?;
    }
    let shown = text::count(drivers.len() as u64, "driver package", "driver packages");
    let rest = total - drivers.len();
    let inbox = if rest == 0 {
        String::new()
    } else {
        format!(" ({rest} that came with Windows not shown)")
    };
    out.line(format_args!("{shown}{inbox}"))?;
    out.finish()
}

fn details(drivers: &[InstalledDriver], context: &Context) -> Result<(), Failure> {
    let mut out = context.printer.stdout();
    for (place, driver) in drivers.iter().enumerate() {
        if place > 0 {
            out.line("")?;
        }
        out.text(text::facts(&detail_rows(driver)))?;
        if !driver.ids.is_empty() {
            out.line("Device IDs")?;
        }
        for id in &driver.ids {
            let kind = match id.kind {
                IdKind::Hardware => "hardware".to_owned(),
                IdKind::Compatible => format!("compatible {}", id.index),
                IdKind::Extension => "extension".to_owned(),
            };
            let score = match id.feature_score {
                0xff => String::new(),
                score => format!(", feature score {score:#04x}"),
            };
            out.line(format_args!("  {}  ({kind}{score})", id.id))?;
        }
    }
    out.finish()
}

fn detail_rows(driver: &InstalledDriver) -> Vec<(&'static str, String)> {
    let class = match &driver.class {
        Some(name) => format!("{name} {}", driver.class_guid),
        None => driver.class_guid.clone(),
    };
    let yes_no = |is: bool| if is { "yes" } else { "no" }.to_owned();
    let rows = [
        ("INF", driver.published.clone()),
        ("Original", driver.original.clone()),
        ("Package", driver.package.clone()),
        ("Hive", driver.hive.hive().to_string()),
        ("Provider", driver.provider.clone().unwrap_or_default()),
        ("Class", class),
        ("Date", driver.date.clone()),
        ("Version", driver.version.clone()),
        ("Architecture", driver.architecture.clone()),
        ("Signer", driver.signer.clone().unwrap_or_default()),
        ("Boot-critical", yes_no(driver.boot_critical)),
        ("With Windows", yes_no(driver.inbox)),
        ("In force", yes_no(driver.active)),
        ("Services", driver.services.join(", ")),
    ];
    rows.into_iter().filter(|(_, value)| !value.is_empty()).collect()
}
