//! App settings: what `%NAME%` in a binding stands for, and which functions are switched off.

/// How an app setting is looked up.
pub type Settings<'a> = &'a dyn Fn(&str) -> Option<String>;

/// Replaces every `%NAME%`.
///
/// # Errors
/// A setting is missing: the function cannot be indexed.
pub(super) fn resolve(text: &str, settings: Settings) -> Result<String, String> {
    let mut resolved = String::with_capacity(text.len());
    let mut rest = text;
    while let Some((before, after)) = rest.split_once('%') {
        let Some((name, after)) = after.split_once('%') else {
            return Err(format!("`{text}` has a percent sign without its partner"));
        };
        let value =
            settings(name).ok_or_else(|| format!("`%{name}%` does not resolve: there is no such app setting"))?;
        resolved.push_str(before);
        resolved.push_str(&value);
        rest = after;
    }
    resolved.push_str(rest);
    Ok(resolved)
}

/// Whether a setting disables the function. The second form is for shells that know no dots in names.
pub(super) fn is_disabled(function: &str, settings: Settings) -> bool {
    let names = [format!("AzureWebJobs.{function}.Disabled"), format!("AzureWebJobs_{function}_Disabled")];
    let value = names.iter().find_map(|name| settings(name));
    value.is_some_and(|value| value == "1" || value.eq_ignore_ascii_case("true"))
}
