//! A customer's id on the command line.

/// Parses the id. The store's ids are positive 32-bit integers.
pub(super) fn customer_id(text: &str) -> Result<i64, String> {
    match text.parse::<i32>() {
        Ok(id) if id > 0 => Ok(i64::from(id)),
        _ => Err(format!("'{text}' is no customer id: write a number from 1 to {}", i32::MAX)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_customer_is_named_by_an_id_of_the_store() {
        assert_eq!(customer_id("2147483647"), Ok(2_147_483_647));
        for wrong in ["abc", "12x", "0", "-1", "", "2147483648"] {
            let message = format!("'{wrong}' is no customer id: write a number from 1 to 2147483647");
            assert_eq!(customer_id(wrong), Err(message));
        }
    }
}
