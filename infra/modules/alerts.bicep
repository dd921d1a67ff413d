metadata description = 'Alerts for overdue reports, missing permissions, messages that were not posted, and throttling.'

@description('Azure region.')
param location string

@description('Prefix of every name.')
param name string

@description('Tags for every resource.')
param tags object

@description('Resource id of Application Insights, which has the log lines.')
param insightsId string

@description('Email address for alerts; blank for no email.')
param email string

@description('Hours after which a new report is overdue: two periods, at most 48.')
param overdueHours int

@description('Reports to monitor.')
param reports string[]

resource group 'Microsoft.Insights/actionGroups@2023-01-01' = if (!empty(email)) {
  name: '${name}-people'
  location: 'global'
  tags: tags
  properties: {
    enabled: true
    groupShortName: take(name, 12)
    emailReceivers: [
      {
        name: 'people'
        emailAddress: email
        useCommonAlertSchema: true
      }
    ]
  }
}

var actions = empty(email) ? [] : [group.id]

resource overdue 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for report in reports: {
    name: '${name}-${report}-overdue'
    location: location
    tags: tags
    properties: {
      displayName: 'The ${report} report is overdue'
      description: 'No run of ${report} was written within ${overdueHours} hours. Check the invocations of its timer and its log.'
      severity: 2
      enabled: true
      scopes: [
        insightsId
      ]
      evaluationFrequency: 'PT1H'
      windowSize: 'P2D'
      criteria: {
        allOf: [
          {
            query: 'traces | where timestamp > ago(${overdueHours}h) | where message has "report_written" and message has "${report}"'
            timeAggregation: 'Count'
            operator: 'LessThan'
            threshold: 1
          }
        ]
      }
      autoMitigate: true
      actions: {
        actionGroups: actions
      }
    }
  }
]

// The Indicators next to a verdict need an optional permission.
var codes = [
  {
    name: 'permission'
    what: 'A permission is missing'
    query: 'traces | where message has_any ("missing_permission", "upstream_unauthorized", "storage_forbidden") | where not(message has "missing_permission" and message has "indicators")'
  }
  {
    name: 'message'
    what: 'A message to people was not posted'
    query: 'traces | where message has "notify_failed"'
  }
  {
    name: 'throttled'
    what: 'Look-ups are throttled, by Defender or by the limits of the app'
    query: 'traces | where message has_any ("upstream_throttled", "breaker_open")'
  }
]

resource trouble 'Microsoft.Insights/scheduledQueryRules@2023-12-01' = [
  for code in codes: {
    name: '${name}-${code.name}'
    location: location
    tags: tags
    properties: {
      displayName: code.what
      description: '${code.what}: the log line says what to do.'
      severity: 2
      enabled: true
      scopes: [
        insightsId
      ]
      evaluationFrequency: 'PT15M'
      windowSize: 'PT15M'
      criteria: {
        allOf: [
          {
            query: code.query
            timeAggregation: 'Count'
            operator: 'GreaterThan'
            threshold: 0
          }
        ]
      }
      autoMitigate: true
      actions: {
        actionGroups: actions
      }
    }
  }
]
