//! The short forms of `[unattend]`.

use crate::{
    base::secret::SecretForm,
    format::unattend::{Element, PassName},
    recipe::{
        finding::shown,
        node::{Entry, Node, Table, Value},
        source::Origin,
    },
    servicing::unattend::account_name_problem,
};

use super::{super::Decoder, Answers, Inside, hidden_password};

const SHELL: &str = "Microsoft-Windows-Shell-Setup";
const SETUP: &str = "Microsoft-Windows-Setup";
/// Type of a partition with the recovery environment on GPT disks.
const RECOVERY_TYPE: &str = "de94bba4-06d1-4d40-a16a-bfd50179d6ac";
/// MiB of the partition that Windows reserves on GPT disks.
const RESERVED_MIB: u32 = 16;

use PassName::{OobeSystem, Specialize, WindowsPe};

impl Decoder<'_> {
    pub(super) fn short_forms(&mut self, table: &Table, answers: &mut Answers) {
        let plain = [
            ("computer-name", "ComputerName"),
            ("product-key", "ProductKey"),
            ("owner", "RegisteredOwner"),
            ("organization", "RegisteredOrganization"),
            ("time-zone", "TimeZone"),
        ];
        for (key, name) in plain {
            if let Some(entry) = table.entry(key)
                && let Some(element) = self.short_text(name, entry, answers)
            {
                answers.add(Specialize, SHELL, &[], element, &entry.origin);
            }
        }
        for entry in table.entries() {
            match (entry.key.as_str(), &entry.node.value) {
                ("administrator-password", Value::Table(secret)) => {
                    let name = "AdministratorPassword";
                    if let Some(element) = self.short_password(name, secret, entry, answers) {
                        answers.add(OobeSystem, SHELL, &["UserAccounts"], element, &entry.origin);
                    }
                }
                ("users", Value::Table(users)) => self.users(users, answers),
                ("autologon", Value::Table(logon)) => self.autologon(logon, entry, answers),
                ("first-logon-commands", Value::List(commands)) => {
                    self.first_logon(commands, answers);
                }
                ("oobe", Value::Table(oobe)) => oobe_answers(oobe, answers),
                ("oobe", Value::Text(_)) => self.skip_oobe(table, entry, answers),
                ("domain-join", Value::Table(join)) => self.domain_join(join, entry, answers),
                ("locale", Value::Table(locale)) => self.answer_locale(locale, answers),
                ("disk", Value::Table(disk)) => disk_plan(disk, entry, answers),
                _ => {}
            }
        }
    }

    fn short_text(&mut self, name: &str, entry: &Entry, answers: &mut Answers) -> Option<Element> {
        self.element(
            &Entry { key: name.to_owned(), ..entry.clone() },
            &entry.node,
            &Inside::of(SHELL).below(name),
            answers,
        )
    }

    fn short_password(
        &mut self,
        name: &str,
        table: &Table,
        entry: &Entry,
        answers: &mut Answers,
    ) -> Option<Element> {
        let secret = self.secret(table)?;
        Some(hidden_password(name, &secret, &entry.node.origin, answers))
    }

    fn users(&mut self, users: &Table, answers: &mut Answers) {
        for entry in users.entries() {
            let Some(user) = entry.node.table() else { continue };
            if let Some(problem) = account_name_problem(&entry.key) {
                let message = format!("the account name `{}` {problem}", shown(&entry.key));
                self.refuse(&entry.origin, message, "choose another name");
                continue;
            }
            let mut account = Vec::new();
            if let Some(password) = user.entry("password")
                && let Some(table) = password.node.table()
                && let Some(element) = self.short_password("Password", table, password, answers)
            {
                account.push(element);
            }
            for (key, name) in [("description", "Description"), ("display-name", "DisplayName")] {
                if let Some(entry) = user.entry(key) {
                    account.extend(self.short_text(name, entry, answers));
                }
            }
            match user.entry("group") {
                Some(group) => account.extend(self.short_text("Group", group, answers)),
                None => account.push(answers.text("Group", "Users", &entry.origin)),
            }
            account.push(answers.text("Name", &entry.key, &entry.origin));
            let place = answers.place(&entry.origin);
            let account =
                Element { place, ..Element::with_children("LocalAccount", account) }.added();
            let path = ["UserAccounts", "LocalAccounts"];
            answers.add(OobeSystem, SHELL, &path, account, &entry.origin);
        }
    }

    fn autologon(&mut self, logon: &Table, entry: &Entry, answers: &mut Answers) {
        let mut parts = Vec::new();
        if let Some(password) = logon.entry("password")
            && let Some(table) = password.node.table()
        {
            parts.extend(self.short_password("Password", table, password, answers));
        }
        if let Some(domain) = logon.entry("domain") {
            parts.extend(self.short_text("Domain", domain, answers));
        }
        parts.push(answers.text("Enabled", "true", &entry.origin));
        match logon.entry("count") {
            Some(count) => parts.extend(self.short_text("LogonCount", count, answers)),
            None => parts.push(answers.text("LogonCount", "1", &entry.origin)),
        }
        if let Some(user) = logon.entry("user") {
            parts.extend(self.short_text("Username", user, answers));
        }
        for part in parts {
            answers.add(OobeSystem, SHELL, &["AutoLogon"], part, &entry.origin);
        }
    }

    fn first_logon(&mut self, commands: &[Node], answers: &mut Answers) {
        for (index, node) in commands.iter().enumerate() {
            let origin = &node.origin;
            let mut parts = vec![answers.text("Order", (index + 1).to_string(), origin)];
            match &node.value {
                Value::Text(text) => parts.extend(
                    self.setting_text(text, origin)
                        .map(|text| answers.text("CommandLine", text, origin)),
                ),
                Value::Table(table) => {
                    for (key, name) in [
                        ("command", "CommandLine"),
                        ("description", "Description"),
                        ("requires-user-input", "RequiresUserInput"),
                    ] {
                        if let Some(entry) = table.entry(key) {
                            parts.extend(self.short_text(name, entry, answers));
                        }
                    }
                }
                _ => continue,
            }
            let place = answers.place(origin);
            let command =
                Element { place, ..Element::with_children("SynchronousCommand", parts) }.added();
            answers.add(OobeSystem, SHELL, &["FirstLogonCommands"], command, origin);
        }
    }

    fn skip_oobe(&mut self, section: &Table, entry: &Entry, answers: &mut Answers) {
        let origin = &entry.node.origin;
        for (name, text) in [
            ("HideEULAPage", "true"),
            ("HideOEMRegistrationScreen", "true"),
            ("HideOnlineAccountScreens", "true"),
            ("HideWirelessSetupInOOBE", "true"),
            ("ProtectYourPC", "3"),
        ] {
            let element = answers.text(name, text, origin);
            answers.add(OobeSystem, SHELL, &["OOBE"], element, origin);
        }
        // What a file has of it is not looked at here.
        if section.get("file").is_some() || section.get("settings").is_some() {
            return;
        }
        let locale = section.get("locale").and_then(Node::table);
        let whole = ["ui", "system", "user", "input"]
            .iter()
            .all(|key| locale.is_some_and(|locale| locale.get(key).is_some()));
        let account =
            ["users", "administrator-password"].iter().any(|key| section.get(key).is_some());
        if !whole {
            let help = "give [unattend.locale] with `ui`, `system`, `user` and `input`";
            self.refuse(origin, "without the languages Windows asks for them", help);
        }
        if !account {
            let help = "give [unattend.users], or `administrator-password`";
            self.refuse(origin, "without an account Windows asks for one", help);
        }
    }

    fn domain_join(&mut self, join: &Table, entry: &Entry, answers: &mut Answers) {
        let component = "Microsoft-Windows-UnattendedJoin";
        let path = ["Identification"];
        let credentials = ["Identification", "Credentials"];
        let mut domain = join.entry("domain").map(|domain| domain.node.clone());
        let mut user = join.entry("user").cloned();
        if let Some(entry) = &mut user
            && let Some((of, name)) = entry.node.text().and_then(|text| text.split_once('\\'))
        {
            let (of, name) = (of.to_owned(), name.to_owned());
            domain = Some(Node { value: Value::Text(of), origin: entry.node.origin.clone() });
            entry.node.value = Value::Text(name);
        }
        if let (Some(user), Some(domain)) = (user, domain) {
            let of = Entry { node: domain, ..user.clone() };
            for (name, entry) in [("Domain", &of), ("Username", &user)] {
                if let Some(element) = self.short_text(name, entry, answers) {
                    answers.add(Specialize, component, &credentials, element, &entry.origin);
                }
            }
        }
        if let Some(password) = join.entry("password")
            && let Some(table) = password.node.table()
            && let Some(secret) = self.secret(table)
        {
            let text = secret.placeholder(&SecretForm::Xml);
            let element = answers.text("Password", text, &password.origin);
            answers.add(Specialize, component, &credentials, element, &password.origin);
        }
        for (key, name) in
            [("domain", "JoinDomain"), ("workgroup", "JoinWorkgroup"), ("ou", "MachineObjectOU")]
        {
            if let Some(entry) = join.entry(key)
                && let Some(element) = self.short_text(name, entry, answers)
            {
                answers.add(Specialize, component, &path, element, &entry.origin);
            }
        }
        let lonely = join.get("domain").is_some()
            && (join.get("user").is_none() || join.get("password").is_none());
        if lonely {
            let help = "give `user` and `password`; a computer account that is prepared is joined with `settings`";
            self.refuse(&entry.origin, "nobody is named who may join the domain", help);
        }
    }

    fn answer_locale(&mut self, locale: &Table, answers: &mut Answers) {
        let component = "Microsoft-Windows-International-Core";
        for (key, name) in [
            ("input", "InputLocale"),
            ("system", "SystemLocale"),
            ("ui", "UILanguage"),
            ("ui-fallback", "UILanguageFallback"),
            ("user", "UserLocale"),
        ] {
            if let Some(entry) = locale.entry(key)
                && let Some(element) = self.short_text(name, entry, answers)
            {
                answers.add(OobeSystem, component, &[], element, &entry.origin);
            }
        }
    }
}

fn oobe_answers(oobe: &Table, answers: &mut Answers) {
    for (key, name) in [
        ("hide-eula", "HideEULAPage"),
        ("hide-local-account", "HideLocalAccountScreen"),
        ("hide-oem-registration", "HideOEMRegistrationScreen"),
        ("hide-online-account", "HideOnlineAccountScreens"),
        ("hide-wireless-setup", "HideWirelessSetupInOOBE"),
        ("network-location", "NetworkLocation"),
        ("protect-your-pc", "ProtectYourPC"),
    ] {
        let Some(entry) = oobe.entry(key) else { continue };
        let text = match &entry.node.value {
            Value::Boolean(value) => value.to_string(),
            Value::Integer(Some(number)) => number.to_string(),
            Value::Text(text) => text.clone(),
            _ => continue,
        };
        let element = answers.text(name, text, &entry.node.origin);
        answers.add(OobeSystem, SHELL, &["OOBE"], element, &entry.origin);
    }
}

/// A partition of a plan: type, size (`None`: what is left), and how it is made ready (`None`: not at all).
struct Partition {
    kind: &'static str,
    mib: Option<u32>,
    ready: Option<&'static [(&'static str, &'static str)]>,
}

fn disk_plan(disk: &Table, entry: &Entry, answers: &mut Answers) {
    let number = |key: &str| match disk.get(key).map(|node| &node.value) {
        Some(Value::Integer(Some(number))) => u32::try_from(*number).ok(),
        _ => None,
    };
    let system = number("system-mib");
    let windows: &[_] = &[("Format", "NTFS"), ("Label", "Windows"), ("Letter", "C")];
    let windows = Partition { kind: "Primary", mib: None, ready: Some(windows) };
    let uefi = disk.get("layout").and_then(Node::text) == Some("uefi");
    let mut partitions = Vec::new();
    if uefi {
        let ready: &[_] = &[("Format", "FAT32"), ("Label", "System")];
        let mib = Some(system.unwrap_or(260));
        partitions.push(Partition { kind: "EFI", mib, ready: Some(ready) });
        partitions.push(Partition { kind: "MSR", mib: Some(RESERVED_MIB), ready: None });
        if let Some(mib) = number("recovery-mib") {
            let ready: &[_] =
                &[("Format", "NTFS"), ("Label", "Recovery"), ("TypeID", RECOVERY_TYPE)];
            partitions.push(Partition { kind: "Primary", mib: Some(mib), ready: Some(ready) });
        }
    } else {
        let ready: &[_] = &[("Active", "true"), ("Format", "NTFS"), ("Label", "System")];
        let mib = Some(system.unwrap_or(350));
        partitions.push(Partition { kind: "Primary", mib, ready: Some(ready) });
    }
    partitions.push(windows);
    write_plan(&partitions, number("disk").unwrap_or(0), &entry.origin, answers);
}

fn write_plan(partitions: &[Partition], disk: u32, origin: &Origin, answers: &mut Answers) {
    let disk = disk.to_string();
    let mut create = Vec::new();
    let mut modify: Vec<Element> = Vec::new();
    for (index, partition) in partitions.iter().enumerate() {
        let number = (index + 1).to_string();
        let mut parts = vec![answers.text("Order", &number, origin)];
        parts.push(match partition.mib {
            Some(mib) => answers.text("Size", mib.to_string(), origin),
            None => answers.text("Extend", "true", origin),
        });
        parts.push(answers.text("Type", partition.kind, origin));
        create.push(Element::with_children("CreatePartition", parts).added());
        let Some(ready) = partition.ready else { continue };
        let order = (modify.len() + 1).to_string();
        let mut parts = vec![answers.text("Order", order, origin)];
        parts.push(answers.text("PartitionID", &number, origin));
        parts.extend(ready.iter().map(|(name, text)| answers.text(name, *text, origin)));
        modify.push(Element::with_children("ModifyPartition", parts).added());
    }
    let mut parts = vec![answers.text("DiskID", &disk, origin)];
    parts.push(answers.text("WillWipeDisk", "true", origin));
    parts.push(Element::with_children("CreatePartitions", create));
    parts.push(Element::with_children("ModifyPartitions", modify));
    let mut element = Element::with_children("Disk", parts).added();
    put_places(&mut element, answers, origin);
    answers.add(WindowsPe, SETUP, &["DiskConfiguration"], element, origin);
    let last = partitions.len().to_string();
    for (name, text) in [("DiskID", disk), ("PartitionID", last)] {
        let element = answers.text(name, text, origin);
        let path = ["ImageInstall", "OSImage", "InstallTo"];
        answers.add(WindowsPe, SETUP, &path, element, origin);
    }
}

/// Gives every element a place that has none. The depth is a few levels.
fn put_places(element: &mut Element, answers: &mut Answers, origin: &Origin) {
    if element.place.line == 0 {
        element.place = answers.place(origin);
    }
    element.children.iter_mut().for_each(|child| put_places(child, answers, origin));
}
