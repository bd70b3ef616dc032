//! The columns of the source: a row for each value, or a wide table.

/// The columns of the relation. Each is named exactly as Postgres has it, case included.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceColumns {
    /// The column that says which customer a row is of.
    pub customer: CustomerColumn,
    /// The columns of the values.
    pub values: ValueColumns,
}

/// The column of the customers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CustomerColumn {
    /// It holds the store's ids.
    Id(String),
    /// It holds e-mail addresses.
    Email(String),
}

impl CustomerColumn {
    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Id(name) | Self::Email(name) => name,
        }
    }
}

/// How the relation holds the values.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueColumns {
    /// A row for each value.
    Tall {
        /// The column that says which attribute a value is of.
        attribute: String,
        /// The column of the values.
        value: String,
    },
    /// A row for each customer, with a column for each attribute.
    Wide(Vec<WideColumn>),
}

/// A column with the values of one attribute.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct WideColumn {
    /// The column.
    pub column: String,
    /// The attribute.
    pub attribute: AttributeRef,
}

/// An attribute as the configuration names it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum AttributeRef {
    /// By its id.
    Id(i64),
    /// By its name in the store.
    Name(String),
}

impl Default for SourceColumns {
    fn default() -> Self {
        Self {
            customer: CustomerColumn::Id(Self::CUSTOMER_ID.to_owned()),
            values: ValueColumns::Tall {
                attribute: Self::ATTRIBUTE.to_owned(),
                value: Self::VALUE.to_owned(),
            },
        }
    }
}

impl SourceColumns {
    /// The default of `customer_id`.
    pub const CUSTOMER_ID: &str = "customer_id";
    /// The column of e-mail addresses in examples.
    pub const EMAIL: &str = "email";
    /// The default of `attribute`.
    pub const ATTRIBUTE: &str = "attribute_id";
    /// The default of `value`.
    pub const VALUE: &str = "value";

    /// Whether the rows name their customers by e-mail addresses.
    #[must_use]
    pub const fn by_email(&self) -> bool {
        matches!(self.customer, CustomerColumn::Email(_))
    }

    /// The names of all columns that are read, that of the customers first.
    #[must_use]
    pub fn names(&self) -> Vec<&str> {
        let values = match &self.values {
            ValueColumns::Tall { attribute, value } => vec![attribute.as_str(), value],
            ValueColumns::Wide(columns) => columns.iter().map(|wide| wide.column.as_str()).collect(),
        };
        [self.customer.name()].into_iter().chain(values).collect()
    }
}
