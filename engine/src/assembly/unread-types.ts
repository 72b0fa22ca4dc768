import { physicalArn, physicalName, type ResourceTypes, regional, sagemakerType } from './resource-type';

/** Types whose names and attributes are known, because others refer to them, though no service does anything with them. */
export const UNREAD: ResourceTypes = {
  'AWS::CloudWatch::CompositeAlarm': {
    nameProperty: 'AlarmName',
    longest: 255,
    arn: regional('cloudwatch', 'alarm:{name}'),
  },
  'AWS::CloudWatch::Dashboard': {
    nameProperty: 'DashboardName',
    longest: 255,
    arn: 'arn:{partition}:cloudwatch::{account}:dashboard/{name}',
  },
  'AWS::Events::Archive': { nameProperty: 'ArchiveName', longest: 48, arn: regional('events', 'archive/{name}') },
  'AWS::Lambda::LayerVersion': {
    nameProperty: 'LayerName',
    longest: 64,
    arn: regional('lambda', 'layer:{name}:1'),
    ref: 'arn',
    attributes: { LayerVersionArn: physicalArn },
  },
  'AWS::StepFunctions::StateMachineVersion': {
    arn: '{stateMachine}:1',
    ref: 'arn',
  },
  'AWS::StepFunctions::Activity': {
    nameProperty: 'Name',
    longest: 80,
    arn: regional('states', 'activity:{name}'),
    ref: 'arn',
    attributes: { Name: physicalName },
  },
  'AWS::SageMaker::Model': sagemakerType('Model', 'model', 'ModelName'),
  'AWS::SageMaker::EndpointConfig': sagemakerType('EndpointConfig', 'endpoint-config', 'EndpointConfigName'),
  'AWS::SageMaker::Endpoint': sagemakerType('Endpoint', 'endpoint', 'EndpointName'),
  'AWS::SSM::Parameter': {
    nameProperty: 'Name',
    longest: 1011,
    arn: regional('ssm', 'parameter/{name}'),
    attributes: { Value: ({ properties }) => properties.Value, Type: ({ properties }) => properties.Type },
  },
  'AWS::SecretsManager::Secret': { nameProperty: 'Name', arn: regional('secretsmanager', 'secret:{name}'), ref: 'arn' },
};
