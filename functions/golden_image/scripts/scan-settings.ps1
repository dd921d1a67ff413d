#Requires -Version 5.1
#Requires -RunAsAdministrator
<#
.SYNOPSIS
Sets protection, scan times and throttling of Defender for virtual desktops.
.DESCRIPTION
Turns the weekly full scan off and schedules a daily quick scan at a random time while the pool is
on, limited to half of the processor. The defaults of Windows cancel that limit: when
ScanOnlyIfIdleEnabled and DisableCpuThrottleOnIdleScans are both true, ScanAvgCPULoadFactor is
ignored. So this script sets the second one to false. A policy of the tenant or the domain
overrides these settings.
Source: https://learn.microsoft.com/en-us/defender-endpoint/deployment-vdi-microsoft-defender-antivirus
.PARAMETER QuickScanTime
Time of the daily quick scan, HH:MM, when the desktops are on. 00:00 is not allowed: it turns the scan off.
.PARAMETER FileHashComputation
Also compute file hashes. Indicators for file hashes need them. This costs processor time.
.EXAMPLE
.\scan-settings.ps1 -WhatIf
#>
[CmdletBinding(SupportsShouldProcess)]
param(
    [ValidatePattern('^([01]\d|2[0-3]):[0-5]\d$')]
    [string] $QuickScanTime = {{quick-scan-time}},
    [switch] $FileHashComputation
)

$ErrorActionPreference = 'Stop'
if ([Environment]::Is64BitOperatingSystem -and -not [Environment]::Is64BitProcess) {
    throw 'Run this script in 64-bit Windows PowerShell. The 32-bit version reads a different registry and different folders.'
}
if ($QuickScanTime -eq '00:00') { throw 'At 00:00 no quick scan runs, because 0 minutes after midnight means off. Use 00:01.' }

function Get-Clock {
    param($Value)
    if ($Value -is [timespan]) { return $Value.ToString('hh\:mm') }
    if ($Value -is [datetime]) { return $Value.ToString('HH:mm') }
    return ([string] $Value) -replace '^(\d\d:\d\d):\d\d$', '$1'
}

# A setting, its new value, and the values that stay as they are.
$settings = @(
    @{ Name = 'DisableRealtimeMonitoring'; To = $false; Good = { $_ -eq $false } }
    @{ Name = 'DisableBehaviorMonitoring'; To = $false; Good = { $_ -eq $false } }
    @{ Name = 'DisableIOAVProtection'; To = $false; Good = { $_ -eq $false } }
    @{ Name = 'DisableScriptScanning'; To = $false; Good = { $_ -eq $false } }
    @{ Name = 'MAPSReporting'; To = 2; Good = { $_ -eq 2 } }
    @{ Name = 'SubmitSamplesConsent'; To = 1; Good = { 1, 3 -contains $_ } }
    @{ Name = 'DisableBlockAtFirstSeen'; To = $false; Good = { $_ -eq $false } }
    @{ Name = 'CloudBlockLevel'; To = 2; Good = { $_ -ge 2 } }
    @{ Name = 'CloudExtendedTimeout'; To = 20; Good = { $_ -ge 20 } }
    @{ Name = 'PUAProtection'; To = 1; Good = { $_ -eq 1 } }
    @{ Name = 'EnableNetworkProtection'; To = 2; Good = { 1, 2 -contains $_ } }
    @{ Name = 'LowThreatDefaultAction'; To = 2; Good = { 0, 2 -contains $_ } }
    @{ Name = 'ModerateThreatDefaultAction'; To = 2; Good = { 0, 2 -contains $_ } }
    @{ Name = 'HighThreatDefaultAction'; To = 2; Good = { 0, 2 -contains $_ } }
    @{ Name = 'SevereThreatDefaultAction'; To = 2; Good = { 0, 2 -contains $_ } }
    @{ Name = 'SignatureUpdateInterval'; To = 8; Good = { $_ -ge 1 -and $_ -le 8 } }
    @{ Name = 'DisableCacheMaintenance'; To = 0; Good = { -not $_ } }
    @{ Name = 'RandomizeScheduleTaskTimes'; To = $true; Good = { $_ -eq $true } }
    @{ Name = 'ScanAvgCPULoadFactor'; To = 50; Good = { $_ -ge 5 -and $_ -le 50 } }
    @{ Name = 'DisableCpuThrottleOnIdleScans'; To = $false; Good = { $_ -eq $false } }
    @{ Name = 'ThrottleForScheduledScanOnly'; To = $true; Good = { $_ -eq $true } }
    @{ Name = 'EnableLowCpuPriority'; To = $true; Good = { $_ -eq $true } }
    @{ Name = 'ScanScheduleQuickScanTime'; To = "${QuickScanTime}:00"; Good = { (Get-Clock $_) -eq $QuickScanTime } }
    @{ Name = 'ScanScheduleDay'; To = 8; Good = { $_ -eq 8 } }
    @{ Name = 'CheckForSignaturesBeforeRunningScan'; To = $true; Good = { $_ -eq $true } }
)
if ($FileHashComputation) {
    $settings += @{ Name = 'EnableFileHashComputation'; To = $true; Good = { $_ -eq $true } }
}

$present = Get-MpPreference
$failed = 0
foreach ($setting in $settings) {
    $name = $setting.Name
    $value = $present.$name
    # Skips settings that this version of Defender does not have.
    if ($null -eq $present.PSObject.Properties[$name]) { Write-Warning "This version of Defender does not have the setting $name."; continue }
    if ($null -ne $value -and ($value | ForEach-Object $setting.Good)) { continue }
    if (-not $PSCmdlet.ShouldProcess('Microsoft Defender Antivirus', "Set $name to $($setting.To)")) { continue }
    $change = @{ $name = $setting.To }
    try { Set-MpPreference @change; Write-Output "$name is now $($setting.To)." }
    catch { $failed++; Write-Warning "$name cannot be set: $($_.Exception.Message)" }
}
if ($failed -gt 0) { exit 1 }
