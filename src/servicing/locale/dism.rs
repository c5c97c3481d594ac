//! What `dism.exe` is told for the same settings: options of "DISM Languages and International Servicing Command-Line Options".

use crate::servicing::cbs::dism::escaped;

use super::LocaleSpec;

/// One call each, in an order in which single settings win.
#[must_use]
pub fn calls(spec: &LocaleSpec) -> Vec<String> {
    let input = (!spec.input.is_empty()).then(|| spec.input.join(";"));
    let options = [
        ("Set-SKUIntlDefaults", spec.defaults.as_deref()),
        ("Set-AllIntl", spec.all.as_deref()),
        ("Set-UILang", spec.ui.as_deref()),
        ("Set-UILangFallback", spec.ui_fallback.as_deref()),
        ("Set-SysLocale", spec.system.as_deref()),
        ("Set-UserLocale", spec.user.as_deref()),
        ("Set-InputLocale", input.as_deref()),
        ("Set-TimeZone", spec.timezone.as_deref()),
    ];
    let mut calls: Vec<String> = options
        .into_iter()
        .filter_map(|(verb, value)| Some(format!("/{verb}:\"{}\"", escaped(value?))))
        .collect();
    calls.extend(spec.layered_driver.map(|number| format!("/Set-LayeredDriver:{number}")));
    calls
}
