//! The engine's ports on AWS: the store in DynamoDB, the cloud behind STS, Systems Manager, Config, Organizations and SNS, and
//! queues in SQS.

pub mod bedrock;
pub mod clients;
pub mod cloud;
pub mod console;
pub mod dynamo;
pub mod environment;
pub mod queue;
pub mod random;
pub mod refused;
pub mod secret;
mod signed;
pub mod trust;
