//! `[winpe]`.

use crate::{
    recipe::{
        finding::{Finding, shown},
        node::{Entry, Node, Value},
    },
    servicing::{
        Operation,
        winpe::{self, Startnet, WinPeSpec, Winpeshl},
    },
};

use super::Decoder;

impl Decoder<'_> {
    pub(super) fn winpe(&mut self, section: &Entry) {
        let Some(table) = section.node.table() else { return };
        let spec = WinPeSpec {
            scratch_mib: table.get("scratch-mib").and_then(|node| self.scratch(node)),
            target_path: table.get("target-path").and_then(|node| self.target_path(node)),
            startnet: table.get("startnet").and_then(|node| self.startnet(node)),
            winpeshl: table.get("winpeshl").and_then(|node| self.winpeshl(node)),
        };
        if table.entries().is_empty() {
            self.says_nothing(&section.origin, "[winpe]", "scratch-mib = 512");
        }
        self.entry("winpe", "winpe", &section.node.origin, Operation::WinPe(spec));
    }

    fn scratch(&mut self, node: &Node) -> Option<u32> {
        let Value::Integer(Some(number)) = node.value else { return None };
        let mib = u32::try_from(number).ok()?;
        let documented = winpe::DOCUMENTED;
        if (documented[0]..documented[4]).contains(&mib) && !documented.contains(&mib) {
            self.findings.push(Finding::at(
                &node.origin,
                "recipe::wrong-value",
                format!("Windows PE has no scratch space of {mib} MiB"),
                "expected 32, 64, 128, 256 or 512",
                "more than 512 is taken as it is, with a warning: Microsoft does not document it",
            ));
            return None;
        }
        Some(mib)
    }

    fn target_path(&mut self, node: &Node) -> Option<String> {
        let path = node.text()?;
        if let Some(defect) = winpe::target_path_defect(path) {
            self.findings.push(Finding::at(
                &node.origin,
                "recipe::wrong-value",
                format!("`{}` cannot be the target path of Windows PE", shown(path)),
                defect,
                r"write 3 to 32 characters: a drive from C to Z and an absolute path, without blanks or quotes: 'X:\'",
            ));
            return None;
        }
        Some(path.to_owned())
    }

    fn startnet(&mut self, node: &Node) -> Option<Startnet> {
        let Some(lines) = node.list() else { return self.input(node).map(Startnet::File) };
        let commands = lines.iter().filter_map(|line| self.line(line, winpe::line_defect));
        Some(Startnet::Commands(commands.collect()))
    }

    fn winpeshl(&mut self, node: &Node) -> Option<Winpeshl> {
        let Some(table) = node.table() else { return self.input(node).map(Winpeshl::File) };
        if let Some(app) = table.get("app") {
            return self.line(app, |app| winpe::app_defect(app, true)).map(Winpeshl::App);
        }
        let apps = table.get("apps").and_then(Node::list)?;
        let apps =
            apps.iter().filter_map(|app| self.line(app, |app| winpe::app_defect(app, false)));
        Some(Winpeshl::Apps(apps.collect()))
    }

    /// A line of a text file of Windows PE.
    fn line(
        &mut self,
        node: &Node,
        defect: impl Fn(&str) -> Option<&'static str>,
    ) -> Option<String> {
        let line = node.text()?;
        if let Some(defect) = defect(line) {
            self.findings.push(Finding::at(
                &node.origin,
                "recipe::wrong-value",
                format!("`{}` cannot stand there", shown(line)),
                defect,
                "put what does not fit into a script, and start that",
            ));
            return None;
        }
        Some(line.to_owned())
    }
}
