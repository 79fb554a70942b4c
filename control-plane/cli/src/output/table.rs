//! Tables, and lists of named values.

use comfy_table::{Attribute, Cell as TableCell, Color, ContentArrangement, TableStyle};

use crate::{
    output::Style,
    text::{NOTHING, is_right_to_left, plain_line},
};

/// Longest free text in a table that is not wide, in characters.
const TEXT_CHARS_MAX: usize = 60;

/// Right-to-left text begins and ends here, in Unicode's words.
const ISOLATE_BEGIN: char = '\u{2068}';
const ISOLATE_END: char = '\u{2069}';

/// What the colour of a cell says.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tone {
    Plain,
    Good,
    Bad,
    /// Past, or of no more weight.
    Faded,
}

/// A table of `T`s: a column is a title and a view of one `T`.
pub(crate) struct Table<T> {
    columns: Vec<Column<T>>,
}

struct Column<T> {
    title: &'static str,
    is_wide_only: bool,
    view: View<T>,
}

/// How a column sees one `T`.
enum View<T> {
    Text(fn(&T) -> String),
    /// Sentences, shortened unless the table is wide.
    Free(fn(&T) -> String),
    State(fn(&T) -> (String, Tone)),
}

impl<T> Table<T> {
    pub(crate) fn new() -> Self {
        Self { columns: Vec::new() }
    }

    pub(crate) fn column(self, title: &'static str, view: fn(&T) -> String) -> Self {
        self.with(title, false, View::Text(view))
    }

    /// Shown with `--wide` only.
    pub(crate) fn wide(self, title: &'static str, view: fn(&T) -> String) -> Self {
        self.with(title, true, View::Text(view))
    }

    /// Sentences, shortened unless `--wide`.
    pub(crate) fn text(self, title: &'static str, view: fn(&T) -> String) -> Self {
        self.with(title, false, View::Free(view))
    }

    /// A state with a colour.
    pub(crate) fn state(self, title: &'static str, view: fn(&T) -> (String, Tone)) -> Self {
        self.with(title, false, View::State(view))
    }

    fn with(mut self, title: &'static str, is_wide_only: bool, view: View<T>) -> Self {
        self.columns.push(Column { title, is_wide_only, view });
        self
    }

    /// Draws the table. `nothing` stands in the place of an empty one.
    pub(crate) fn draw(&self, style: &Style, rows: &[T], nothing: &str) -> String {
        if rows.is_empty() {
            return nothing.to_owned();
        }
        let titles = self.shown(style).map(|column| TableCell::new(column.title).add_attribute(Attribute::Bold));
        let mut grid = grid(style);
        grid.set_header(titles);
        self.fill(style, rows, grid)
    }

    /// As [`Table::draw`], where the cells speak for themselves.
    pub(crate) fn draw_untitled(&self, style: &Style, rows: &[T]) -> String {
        self.fill(style, rows, grid(style))
    }

    fn fill(&self, style: &Style, rows: &[T], mut grid: comfy_table::Table) -> String {
        for row in rows {
            grid.add_row(self.shown(style).map(|column| column.draw(style, row)));
        }
        finish(&mut grid)
    }

    fn shown(&self, style: &Style) -> impl Iterator<Item = &Column<T>> {
        let wide = style.wide;
        self.columns.iter().filter(move |column| wide || !column.is_wide_only)
    }
}

impl<T> Column<T> {
    fn draw(&self, style: &Style, row: &T) -> TableCell {
        let (text, tone) = match self.view {
            View::Text(view) => (view(row), Tone::Plain),
            View::Free(view) if style.wide => (view(row), Tone::Plain),
            View::Free(view) => (shorten(&view(row)), Tone::Plain),
            View::State(view) => view(row),
        };
        cell(style, &text, tone)
    }
}

/// Named values, one a line. Values that are empty are left out.
pub(crate) fn fields(style: &Style, values: &[(&str, String)]) -> String {
    let mut grid = grid(style);
    for (name, value) in values {
        if !value.is_empty() && value != NOTHING {
            grid.add_row([cell(style, name, Tone::Faded), cell(style, value, Tone::Plain)]);
        }
    }
    finish(&mut grid)
}

/// Text in a colour, outside tables.
pub(crate) fn paint(style: &Style, text: &str, tone: Tone) -> String {
    let code = match tone {
        _ if !style.colour => return text.to_owned(),
        Tone::Plain => return text.to_owned(),
        Tone::Good => "32",
        Tone::Bad => "31",
        Tone::Faded => "2",
    };
    format!("\u{1b}[{code}m{text}\u{1b}[0m")
}

fn grid(style: &Style) -> comfy_table::Table {
    let mut grid = comfy_table::Table::new();
    grid.load_style(TableStyle::new()).set_content_arrangement(ContentArrangement::Disabled);
    if style.colour {
        grid.enforce_styling();
    } else {
        grid.force_no_tty();
    }
    grid
}

fn finish(grid: &mut comfy_table::Table) -> String {
    for column in grid.column_iter_mut() {
        column.set_padding((0, 2));
    }
    grid.trim_fmt()
}

fn cell(style: &Style, text: &str, tone: Tone) -> TableCell {
    let text = plain_line(text);
    let text = if style.isolate && is_right_to_left(&text) { format!("{ISOLATE_BEGIN}{text}{ISOLATE_END}") } else { text };
    let cell = TableCell::new(text);
    match tone {
        Tone::Plain => cell,
        Tone::Good => cell.fg(Color::Green),
        Tone::Bad => cell.fg(Color::Red),
        Tone::Faded => cell.add_attribute(Attribute::Dim),
    }
}

fn shorten(text: &str) -> String {
    if text.chars().count() <= TEXT_CHARS_MAX {
        return text.to_owned();
    }
    let mut short: String = text.chars().take(TEXT_CHARS_MAX - 1).collect();
    short.push('…');
    short
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Body(&'static str, &'static str, bool);

    fn bodies() -> Table<Body> {
        Table::new()
            .column("PERSIAN", |body: &Body| body.1.to_owned())
            .state("STATE", |body| if body.2 { ("in".into(), Tone::Good) } else { ("out".into(), Tone::Bad) })
            .column("NAME", |body| body.0.to_owned())
            .wide("LENGTH", |body| body.0.len().to_string())
    }

    const ROWS: [Body; 2] = [
        Body("private-schools", "سازمان مدارس و مراکز غیردولتی و توسعه مشارکت‌های مردمی", true),
        Body("ipm", "پژوهشگاه دانش‌های بنیادی", false),
    ];

    #[test]
    fn aligns_persian_and_hides_wide_columns() {
        insta::assert_snapshot!(bodies().draw(&Style::default(), &ROWS, ""), @r"
        PERSIAN                                                STATE  NAME
        سازمان مدارس و مراکز غیردولتی و توسعه مشارکت‌های مردمی  in     private-schools
        پژوهشگاه دانش‌های بنیادی                                out    ipm
        ");
        insta::assert_snapshot!(bodies().draw(&Style { wide: true, ..Style::default() }, &ROWS, ""), @r"
        PERSIAN                                                STATE  NAME             LENGTH
        سازمان مدارس و مراکز غیردولتی و توسعه مشارکت‌های مردمی  in     private-schools  15
        پژوهشگاه دانش‌های بنیادی                                out    ipm              3
        ");
    }

    #[test]
    fn colours_only_when_asked() {
        let coloured = bodies().draw(&Style { colour: true, ..Style::default() }, &ROWS, "");
        assert!(coloured.contains("\u{1b}["), "{coloured:?}");
        assert!(!bodies().draw(&Style::default(), &ROWS, "").contains('\u{1b}'));
    }

    #[test]
    fn isolates_persian_on_a_terminal() {
        let drawn = bodies().draw(&Style { isolate: true, ..Style::default() }, &ROWS, "");
        assert_eq!(drawn.matches(ISOLATE_BEGIN).count(), 2);
        assert_eq!(drawn.matches(ISOLATE_END).count(), 2);
    }

    #[test]
    fn says_so_when_there_is_nothing() {
        assert_eq!(bodies().draw(&Style::default(), &[], "none"), "none");
    }

    #[test]
    fn cannot_be_made_to_move_the_cursor() {
        let rows = [Body("a\u{1b}[2Jb\nc", "", true)];
        let drawn = bodies().draw(&Style::default(), &rows, "");
        assert!(drawn.contains("a\\u{1b}[2Jb c"), "{drawn:?}");
    }

    #[test]
    fn leaves_out_values_that_are_not_there() {
        let drawn = fields(&Style::default(), &[("grant", "38-1/1".into()), ("note", String::new()), ("from", "-".into())]);
        assert_eq!(drawn, "grant  38-1/1");
    }
}
