//! The metadata log on Amazon DynamoDB and what speaks its API.
