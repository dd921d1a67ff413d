#Requires -Version 5.1
<#
.SYNOPSIS
Does the same as infra/graph/main.bicep, without the Graph extension.
.DESCRIPTION
Grants the app's identity its roles. With -Api, creates the API's application registration; with
-Caller, assigns its roles to service principals, users or groups. Needs the module
Microsoft.Graph.Applications, Privileged Role Administrator, and for -Api also Application
Administrator. It is safe to run again, and completes an interrupted run. Sign in first:
Connect-MgGraph -Scopes AppRoleAssignment.ReadWrite.All, Application.ReadWrite.All
(in US Government with -Environment USGov).
.PARAMETER IdentityPrincipalId
Output IDENTITY_PRINCIPAL_ID of infra/main.bicep. Without it, no roles are granted to an identity.
.PARAMETER Indicators
Also grants Ti.ReadWrite.All, to see all Indicators. The app writes none.
.PARAMETER NoHunting
Does not grant ThreatHunting.Read.All.
.PARAMETER Api
Also creates the API's application registration, with its roles and its service principal.
.PARAMETER Caller
Callers of the API: OBJECT_ID=ROLE, such as '00000000-0000-0000-0000-000000000000=Hashes.Read', separated by commas.
.EXAMPLE
infra/graph/grant.ps1 -IdentityPrincipalId 00000000-0000-0000-0000-000000000000 -WhatIf
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Nullable[guid]] $IdentityPrincipalId,
    [switch] $Indicators,
    [switch] $NoHunting,
    [switch] $Api,
    [string[]] $Caller = @()
)

$ErrorActionPreference = 'Stop'
$defender = 'fc780465-2017-40d4-a0c5-307022471b92'
$graph = '00000003-0000-0000-c000-000000000000'
$grants = @(
    @{ Application = $defender; Role = 'File.Read.All' }
    @{ Application = $defender; Role = 'Alert.Read.All' }
    @{ Application = $defender; Role = 'Machine.Read.All' }
)
if ($Indicators) { $grants += @{ Application = $defender; Role = 'Ti.ReadWrite.All' } }
if (-not $NoHunting) { $grants += @{ Application = $graph; Role = 'ThreatHunting.Read.All' } }

if (-not $IdentityPrincipalId -and -not $Api -and $Caller.Count -eq 0) { throw 'Specify -IdentityPrincipalId, -Api or -Caller.' }
if ($IdentityPrincipalId) {
    $held = @(Get-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $IdentityPrincipalId -All)
    foreach ($grant in $grants) {
        $resource = @(Get-MgServicePrincipal -Filter "appId eq '$($grant.Application)'")
        $role = @($resource.AppRoles | Where-Object { $_.Value -eq $grant.Role -and $_.AllowedMemberTypes -contains 'Application' })
        if ($role.Count -ne 1) { throw "$($grant.Role) was not found. Check that this tenant has the service." }
        if (@($held | Where-Object { $_.AppRoleId -eq $role[0].Id }).Count -gt 0) {
            Write-Output "$($grant.Role) is already granted"
        } elseif ($PSCmdlet.ShouldProcess($IdentityPrincipalId, "Grant $($grant.Role)")) {
            $body = @{ ServicePrincipalId = $IdentityPrincipalId; PrincipalId = $IdentityPrincipalId; ResourceId = $resource[0].Id; AppRoleId = $role[0].Id }
            $null = New-MgServicePrincipalAppRoleAssignment @body
            Write-Output "$($grant.Role) is granted"
        }
    }
}

$name = 'defender-functions'
# The ids match infra/graph/main.bicep, so that both can be run in any order.
$roles = [ordered] @{
    'Hashes.Read' = 'af779359-e7fe-41d3-a3a8-59c3ef4c03f0'
    'Devices.Read' = 'efb32172-4df1-44f9-8683-576e69e92872'
    'Indicators.Write' = '2cc2f036-29fd-4784-a61f-a5d7bf2be387'
    'Reports.Read' = '12de6d69-a39e-43d2-8245-815e67eb5973'
    'Reports.Run' = 'bcdfdc47-defb-4776-abe2-bf05c3280ba8'
}
$scope = '12a6028e-532c-4945-a1e7-e8f94a8f2968'
$azureCli = '04b07795-8ddb-461a-bbee-02f9e1bf7b46'
$application = "/v1.0/applications(uniqueName='$name')"

function Send-Graph {
    param([string] $Method, [string] $Uri, [hashtable] $Body, [hashtable] $Headers = @{})
    $json = ConvertTo-Json -InputObject $Body -Depth 10
    Invoke-MgGraphRequest -Method $Method -Uri $Uri -Body $json -ContentType 'application/json' -Headers $Headers
}

if ($Api -and $PSCmdlet.ShouldProcess($name, 'Register the application')) {
    $access = @{
        requestedAccessTokenVersion = 2
        oauth2PermissionScopes = @(@{
                id = $scope; value = 'access_as_user'; type = 'User'; isEnabled = $true
                adminConsentDisplayName = 'Call Defender Functions'
                adminConsentDescription = 'Calls Defender Functions as the signed-in user, with the roles of that user.'
            })
    }
    $described = @($roles.Keys | ForEach-Object {
            @{ id = $roles[$_]; value = $_; displayName = $_; description = $_; isEnabled = $true; allowedMemberTypes = @('Application', 'User') }
        })
    $body = @{ displayName = $name; signInAudience = 'AzureADMyOrg'; appRoles = $described; api = $access }
    $null = Send-Graph PATCH $application $body @{ Prefer = 'create-if-missing' }
    $client = (Invoke-MgGraphRequest -Method GET -Uri $application).appId
    $audience = "api://$((Get-MgContext).TenantId)/$name"
    # The Azure CLI, so that users can call the API with their own sign-in.
    $trusted = @{ preAuthorizedApplications = @(@{ appId = $azureCli; delegatedPermissionIds = @($scope) }) }
    $null = Send-Graph PATCH $application @{ identifierUris = @($audience); api = $trusted }
    if (@(Get-MgServicePrincipal -Filter "appId eq '$client'").Count -eq 0) {
        $null = Send-Graph POST '/v1.0/servicePrincipals' @{ appId = $client; appRoleAssignmentRequired = $true }
    }
    Write-Output "API_CLIENT_ID=$client"
    Write-Output "API_AUDIENCE=$audience"
}

foreach ($pair in $Caller) {
    $principal, $role = $pair -split '=', 2
    if (-not $role) { throw "$pair is not OBJECT_ID=ROLE." }
    if (-not $roles.Contains($role)) { throw "$role is not a role of the API; the roles are: $($roles.Keys -join ', ')" }
    if (-not $PSCmdlet.ShouldProcess($principal, "Assign the role $role")) { continue }
    $client = (Invoke-MgGraphRequest -Method GET -Uri $application).appId
    $resource = (Get-MgServicePrincipal -Filter "appId eq '$client'").Id
    try {
        $null = Send-Graph POST "/v1.0/servicePrincipals/$resource/appRoleAssignedTo" @{ principalId = $principal; resourceId = $resource; appRoleId = $roles[$role] }
        Write-Output "$principal has the role $role"
    } catch {
        if ("$_ $($_.ErrorDetails)" -notmatch 'already exists') { throw }
        Write-Output "$principal already has the role $role"
    }
}
