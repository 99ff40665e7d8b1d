//! Writes a JSON object field by field, with code that all fields share.

use alloc::string::String;

/// The writer of a JSON object. It omits fields without a value.
///
/// Text that ends with an opening bracket shows that the object or list is still empty, because no
/// value ends with one.
pub(crate) struct ObjectWriter(String);

impl ObjectWriter {
    /// Writes an object and returns its text.
    pub(crate) fn write(fields: impl FnOnce(&mut Self)) -> String {
        // Most objects are longer. A record grows from here.
        let mut writer = Self(String::with_capacity(64));
        writer.braces(fields);
        writer.0
    }

    fn braces(&mut self, fields: impl FnOnce(&mut Self)) {
        self.0.push('{');
        fields(self);
        self.0.push('}');
    }

    fn name(&mut self, name: &'static str) {
        if !self.0.ends_with('{') {
            self.0.push(',');
        }
        // No field name needs escaping.
        self.0.extend(["\"", name, "\":"]);
    }

    fn quoted(&mut self, text: &str) {
        // A string always serializes.
        self.0.push_str(&serde_json::to_string(text).unwrap_or_default());
    }

    pub(crate) fn text(&mut self, name: &'static str, text: Option<&str>) {
        if let Some(text) = text {
            self.name(name);
            self.quoted(text);
        }
    }

    /// Writes a value that is already JSON.
    pub(crate) fn json(&mut self, name: &'static str, json: Option<&str>) {
        if let Some(json) = json {
            self.name(name);
            self.0.push_str(json);
        }
    }

    pub(crate) fn number(&mut self, name: &'static str, number: u32) {
        self.json(name, Some(itoa::Buffer::new().format(number)));
    }

    pub(crate) fn flag(&mut self, name: &'static str, flag: bool) {
        self.json(name, Some(if flag { "true" } else { "false" }));
    }

    pub(crate) fn object(&mut self, name: &'static str, fields: impl FnOnce(&mut Self)) {
        self.name(name);
        self.braces(fields);
    }

    /// Writes a list of texts.
    pub(crate) fn texts(&mut self, name: &'static str, texts: impl IntoIterator<Item = String>) {
        self.name(name);
        self.0.push('[');
        for text in texts {
            if !self.0.ends_with('[') {
                self.0.push(',');
            }
            self.quoted(&text);
        }
        self.0.push(']');
    }
}
