#Requires -Version 5.1
<#
.SYNOPSIS
Grants the app's identity what infra/graph/main.bicep grants, for people without the Graph extension.
.DESCRIPTION
Needs the module Microsoft.Graph.Applications and Privileged Role Administrator; granting twice
does nothing.
.PARAMETER IdentityPrincipalId
Output IDENTITY_PRINCIPAL_ID of infra/main.bicep.
.PARAMETER Indicators
Also Ti.ReadWrite.All, to see everybody's Indicators. The app writes none.
.PARAMETER NoHunting
Not ThreatHunting.Read.All.
.EXAMPLE
infra/graph/grant.ps1 -IdentityPrincipalId 00000000-0000-0000-0000-000000000000 -WhatIf
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [Parameter(Mandatory)]
    [guid] $IdentityPrincipalId,
    [switch] $Indicators,
    [switch] $NoHunting
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

$held = @(Get-MgServicePrincipalAppRoleAssignment -ServicePrincipalId $IdentityPrincipalId -All)
foreach ($grant in $grants) {
    $resource = @(Get-MgServicePrincipal -Filter "appId eq '$($grant.Application)'")
    $role = @($resource.AppRoles | Where-Object { $_.Value -eq $grant.Role -and $_.AllowedMemberTypes -contains 'Application' })
    if ($role.Count -ne 1) { throw "$($grant.Role) was not found; is the service part of this tenant?" }
    if (@($held | Where-Object { $_.AppRoleId -eq $role[0].Id }).Count -gt 0) {
        Write-Output "$($grant.Role) is granted already"
    } elseif ($PSCmdlet.ShouldProcess($IdentityPrincipalId, "Grant $($grant.Role)")) {
        $body = @{ ServicePrincipalId = $IdentityPrincipalId; PrincipalId = $IdentityPrincipalId; ResourceId = $resource[0].Id; AppRoleId = $role[0].Id }
        $null = New-MgServicePrincipalAppRoleAssignment @body
        Write-Output "$($grant.Role) is granted"
    }
}
